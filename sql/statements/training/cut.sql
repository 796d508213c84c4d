-- Up to which moment a model has seen labels.
select cut_at
from ml.training_runs
where model_uuid = %(model_uuid)s
