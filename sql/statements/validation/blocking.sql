-- What stops models in this run.
select
    check_name,
    model,
    reason
from ml.validation_results
where
    run_id = %(run_id)s
    and severity = 'block'
    and not passed
order by check_name
