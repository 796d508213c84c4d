-- Copies that clients may not read yet, or would read without the policy.
select c.relname::text as table_name
from pg_class as c
where
    c.relnamespace = 'public'::regnamespace
    and c.relname = any(%(tables)s)
    and not (
        c.relrowsecurity
        and c.relforcerowsecurity = %(force)s
        and exists (select from pg_policy as p where p.polrelid = c.oid and p.polname = 'own_rows')
        and has_table_privilege('foresight_clients', c.oid, 'select')
    )
