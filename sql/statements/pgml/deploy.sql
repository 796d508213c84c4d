-- By id, and alone in its transaction.
select *
from pgml.deploy(%(model_id)s::bigint)
