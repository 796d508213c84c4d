-- From a model to the snapshot of the relation that it was trained on.
select
    models.snapshot_id,
    snapshots.relation_name,
    snapshots.created_at as snapshot_at,
    models.created_at as trained_at
from pgml.models as models
join pgml.snapshots as snapshots on snapshots.id = models.snapshot_id
where models.id = %(model_id)s
