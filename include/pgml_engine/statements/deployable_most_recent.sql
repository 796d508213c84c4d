-- The project's newest model.
select
    id,
    algorithm
from pgml.models
where
    project_id = $1
    and status = 'successful'
    and ($2 is null or algorithm = $2)
order by created_at desc, id desc
limit 1
