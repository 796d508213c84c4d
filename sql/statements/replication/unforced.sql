-- Copies of our own tables whose owner is under their policies, or not, and should not be, or should.
select c.relname::text as table_name
from pg_class as c
where
    c.relnamespace = 'ml'::regnamespace
    and c.relname = any(%(tables)s)
    and c.relrowsecurity
    and c.relforcerowsecurity <> %(force)s
