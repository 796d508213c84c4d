-- From a model to the snapshot of the relation that it was trained on.
select
    snapshot_id,
    relation_name,
    snapshot_at,
    trained_at
from ml_pgml.model(%(model_id)s::bigint)
where snapshot_id is not null
