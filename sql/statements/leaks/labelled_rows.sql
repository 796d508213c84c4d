-- Labels and features of the latest rows whose label is known. The last `part` is what a model is judged on.
select
    entity_id,
    entity_key,
    moment,
    label,
    part,
    array[{features}]::float8[] as features
from {table}
where label is not null and part <> 'excluded'
order by moment desc, entity_id
limit %(rows)s
