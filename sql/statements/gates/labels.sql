-- What became of them, what the simple rung said, and which are new since the last look.
select
    label,
    simple,
    slice,
    moment,
    known_at,
    entity_id,
    known_at > coalesce(%(looked_until)s::timestamp, '-infinity') as new
from judged
order by position
