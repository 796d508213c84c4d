-- The model that answered before the present one.
with present as (
    select model_id
    from pgml.deployments
    where project_id = $1
    order by created_at desc, id desc
    limit 1
)

select
    m.id,
    m.algorithm
from pgml.deployments as d
inner join pgml.models as m on d.model_id = m.id
where
    d.project_id = $1
    and d.model_id <> (select model_id from present)
    and m.status = 'successful'
    and ($2 is null or m.algorithm = $2)
order by d.created_at desc, d.id desc
limit 1
