-- Everything that it takes to predict.
select
    m.num_features,
    m.algorithm,
    p.task::text as task,
    f.path,
    f.data
from pgml.models as m
inner join pgml.projects as p on m.project_id = p.id
inner join pgml.files as f on m.id = f.model_id
where m.id = $1
order by f.path, f.part
