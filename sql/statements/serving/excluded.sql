-- What could not be, and why.
select
    entity_id,
    excluded
from scored
where excluded is not null
