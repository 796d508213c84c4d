-- The rows that a fold is judged on.
create temporary table of_fold on commit drop as
select
    row_number() over (order by moment, entity_id) as position,
    *
from {table}
where part = 'train' and moment > %(after)s::timestamp and moment <= %(until)s::timestamp
