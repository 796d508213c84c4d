-- What came up while one model served.
create temporary table asked on commit drop as
select
    row_number() over (order by moment, entity_id) as position,
    *
from lived
where
    excluded is null
    and label is not null
    and moment > %(after)s::timestamp
    and moment <= %(until)s::timestamp
