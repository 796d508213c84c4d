-- What `public` has by default, for databases from which somebody has taken it.
grant {privileges} on database {database} to {roles}
