-- A model by id, with what a deployment reports.
select
    m.id,
    m.project_id,
    m.status,
    m.algorithm,
    p.name as project
from pgml.models as m
inner join pgml.projects as p on m.project_id = p.id
where m.id = $1
