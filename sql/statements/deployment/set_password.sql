-- The password arrives hashed: a server may log what it is sent.
alter role {role} password {password}
