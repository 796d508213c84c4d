-- The columns of the platform's tables that are published. A type that is not PostgreSQL's own arrives as text; lengths and
-- precisions are left out, so that the platform may widen a column without stopping its copy.
select
    c.relname::text as table_name,
    a.attname::text as column_name,
    case
        when n.nspname = 'pg_catalog' then format_type(a.atttypid, -1)
        else 'text'
    end as type,
    coalesce(a.attnum = any(k.indkey::smallint[]), false) as in_key
from pg_class as c
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type as t on t.oid = a.atttypid
join pg_namespace as n on n.oid = t.typnamespace
left join pg_index as k on k.indrelid = c.oid and k.indisprimary
where
    c.relnamespace = 'public'::regnamespace
    and c.relkind in ('r', 'p')
    and c.relname = any(%(tables)s)
order by c.relname, array_position(k.indkey::smallint[], a.attnum), a.attnum
