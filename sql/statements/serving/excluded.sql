-- What could not be, and why.
select
    entity_id,
    entity_key as key,
    excluded
from scored
where excluded is not null
