-- What became of it, and what the simple rung said.
select
    entity_id,
    moment,
    known_at,
    label,
    simple,
    known_labels,
    slice
from asked
order by position
