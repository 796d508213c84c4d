-- What the client's newest run that has validated this model's data has found in them, and since when.
select
    results.check_name,
    results.severity,
    results.reason,
    results.rows_affected,
    results.runs,
    results.since
from ml.validation_results as results
where
    results.client_id = %(client_id)s
    and (results.model is null or results.model = %(model)s)
    and not results.passed
    and results.run_id = (
        select runs.run_id
        from ml.nightly_runs as runs
        where
            runs.client_id = %(client_id)s
            and runs.binding
            and runs.phases ? 'validate'
            and coalesce(nullif(runs.request -> 'models', 'null') ? %(model)s::text, true)
        order by runs.started_at desc
        limit 1
    )
order by
    results.severity,
    results.check_name
