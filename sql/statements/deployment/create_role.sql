-- Without a password; what a role may is decided by its memberships.
create role {role} {attributes}
