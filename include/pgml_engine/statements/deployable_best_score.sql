-- The project's model with the highest r2 or f1, compared as numbers; of equals the newest.
select
    m.id,
    m.algorithm
from pgml.models as m
inner join pgml.projects as p on m.project_id = p.id
where
    m.project_id = $1
    and m.status = 'successful'
    and ($2 is null or m.algorithm = $2)
order by
    (m.metrics ->> case when p.task = 'classification' then 'f1' else 'r2' end)::float8 desc nulls last,
    m.created_at desc,
    m.id desc
limit 1
