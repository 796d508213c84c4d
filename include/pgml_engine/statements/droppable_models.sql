-- A model, or all of a project, with whether it is the one that answers.
select
    m.id,
    m.snapshot_id,
    p.name as project,
    m.id is not distinct from (
        select d.model_id
        from pgml.deployments as d
        where d.project_id = p.id
        order by d.created_at desc, d.id desc
        limit 1
    ) as deployed
from pgml.models as m
inner join pgml.projects as p on m.project_id = p.id
where m.id = $1 or p.name = $2
order by m.id
