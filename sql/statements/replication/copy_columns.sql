-- The columns that the copies have already, with their types.
select c.relname::text as table_name, a.attname::text as column_name, format_type(a.atttypid, -1) as type
from pg_class as c
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where
    c.relnamespace = 'public'::regnamespace
    and c.relname = any(%(tables)s)
order by c.relname, a.attnum
