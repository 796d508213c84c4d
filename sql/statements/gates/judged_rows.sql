-- The rows that none of the judged models has learned from.
create temporary table judged on commit drop as
select
    row_number() over (order by moment, entity_id) as position,
    *
from {table}
where
    part = 'test'
    and moment > %(after)s::timestamp
