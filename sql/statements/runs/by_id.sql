-- One run.
select *
from ml.nightly_runs
where run_id = %(run_id)s
