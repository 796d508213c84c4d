-- Each client reads its own rows of a copy, and writes none. `force` is `force`, or `no force` where the owner has no
-- BYPASSRLS: replication refuses to write to a table whose policies hold for the role that it writes as.
alter table {table} enable row level security;
alter table {table} {force} row level security;
drop policy if exists own_rows on {table};
create policy own_rows on {table} for select to foresight_clients using ({column} = (select ml.client_of_role()));
grant select on {table} to foresight_clients;
