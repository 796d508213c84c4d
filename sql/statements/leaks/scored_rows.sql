-- The features of what has just been scored.
select
    entity_id,
    array[{features}]::float8[] as features
from scored
where excluded is null
order by entity_id
