-- Tables of schema ml whose forced policies keep their own owner out.
select c.relname::text as table_name
from pg_class as c
where
    c.relnamespace = 'ml'::regnamespace
    and c.relkind = 'r'
    and c.relrowsecurity
    and not exists (select from pg_policy as p where p.polrelid = c.oid and p.polname = 'owner_all')
