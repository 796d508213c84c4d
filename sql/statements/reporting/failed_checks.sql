-- What validation found.
select
    check_name,
    model,
    severity,
    reason,
    rows_affected,
    runs,
    since,
    news
from ml.validation_results
where
    run_id = %(run_id)s
    and not passed
order by
    severity,
    check_name
