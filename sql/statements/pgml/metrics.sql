-- What pgml itself says of a model, on the last rows of its relation.
select metrics
from ml_pgml.model(%(model_id)s::bigint)
