-- The highest id that any model has had, on whatever replica.
select coalesce(max(pgml_model_id), 0) as id
from ml.training_runs
