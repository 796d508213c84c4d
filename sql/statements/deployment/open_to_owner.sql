-- Stands in for BYPASSRLS where a managed server gives nobody that.
create policy owner_all on {table} to {owner} using (true) with check (true)
