-- The columns of a relation in their order, domains resolved to what they are made of.
with recursive relation_columns as (
    select
        a.attnum as position,
        a.attname as name,
        not a.attnotnull as nullable,
        a.atttypid as type_id
    from pg_catalog.pg_class as c
    inner join pg_catalog.pg_namespace as n on c.relnamespace = n.oid
    inner join pg_catalog.pg_attribute as a on c.oid = a.attrelid
    where
        n.nspname = $1
        and c.relname = $2
        and c.relkind in ('r', 'p', 'v', 'm', 'f')
        and a.attnum > 0
        and not a.attisdropped
),

unwrapped as (
    select
        position,
        type_id
    from relation_columns
    union all
    select
        u.position,
        t.typbasetype
    from unwrapped as u
    inner join pg_catalog.pg_type as t on u.type_id = t.oid
    where t.typtype = 'd'
)

select
    r.position::int4 as position,
    r.name::text as name,
    r.nullable,
    case when n.nspname = 'pg_catalog' then t.typname else n.nspname || '.' || t.typname end as type
from relation_columns as r
inner join unwrapped as u on r.position = u.position
inner join pg_catalog.pg_type as t on u.type_id = t.oid
inner join pg_catalog.pg_namespace as n on t.typnamespace = n.oid
where t.typtype <> 'd'
order by r.position
