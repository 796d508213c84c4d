-- The replica's copies: only what belongs to their owner is dropped.
select c.relname::text as name
from pg_class as c
where
    c.relnamespace = 'public'::regnamespace
    and c.relkind in ('r', 'p')
    and c.relowner = (select oid from pg_roles where rolname = 'foresight_owner')
    and c.relname = any(%(tables)s)
order by c.relname
