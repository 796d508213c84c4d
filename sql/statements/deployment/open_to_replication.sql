-- Stands in for BYPASSRLS of the role that reads the first copy.
create policy replication_reads on {table} for select to {role} using (true)
