-- See secure_copy.sql for when the owner is under the policies too.
alter table {table} {force} row level security
