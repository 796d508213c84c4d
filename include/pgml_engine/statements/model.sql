-- A model that the caller may see. Run at every prediction: the session's cache is shared by all its roles.
select
    created_at::text as created_at
from pgml.models
where id = $1
