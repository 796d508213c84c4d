-- Without BYPASSRLS the role reads through policies that name it; with row_security off it could not read at all.
alter role {role} reset row_security
