-- Takes back what the role was granted on this database, or it could not be dropped. Nothing of value is its own by now.
drop owned by {role}
