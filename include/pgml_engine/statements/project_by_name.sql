-- A project that the caller may see.
select
    id,
    task::text as task
from pgml.projects
where name = $1
