-- The trainings of one run.
select *
from ml.training_runs
where run_id = %(run_id)s
order by model
