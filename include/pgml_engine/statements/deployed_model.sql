-- The model that answers for a project: the newest deployment's.
select
    m.id,
    m.created_at::text as created_at,
    m.metrics::text as metrics
from pgml.projects as p
inner join pgml.deployments as d on p.id = d.project_id
inner join pgml.models as m on d.model_id = m.id
where p.name = $1
order by d.created_at desc, d.id desc
limit 1
