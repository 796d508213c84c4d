-- The columns that the copies have already.
select c.relname::text as table_name, a.attname::text as column_name
from pg_class as c
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where
    c.relnamespace = 'public'::regnamespace
    and c.relname = any(%(tables)s)
