-- Published tables of schema ml that the first copy could not read for want of a policy.
select c.relname::text as table_name
from pg_class as c
where
    c.relnamespace = 'ml'::regnamespace
    and c.relname = any(%(tables)s)
    and c.relrowsecurity
    and not exists (select from pg_policy as p where p.polrelid = c.oid and p.polname = 'replication_reads')
