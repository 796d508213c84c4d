-- The model that this session has trained last.
select
    id,
    metrics
from pgml.models
where id = currval('pgml.models_id_seq')
