-- Which of these models can be called.
select id
from pgml.models
where
    id = any(%(model_ids)s::bigint[])
    and status = 'successful'
