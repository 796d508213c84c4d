-- The results of a run, as an array of objects.
insert into ml.validation_results (
    run_id,
    client_id,
    check_name,
    model,
    severity,
    passed,
    observed,
    threshold,
    reason,
    rows_affected,
    runs,
    since,
    news
)
select
    %(run_id)s,
    %(client_id)s,
    r.check_name,
    r.model,
    r.severity,
    r.passed,
    r.observed,
    r.threshold,
    r.reason,
    r.rows_affected,
    r.runs,
    r.since,
    r.news
from jsonb_to_recordset(%(results)s) as r (
    check_name text,
    model text,
    severity text,
    passed boolean,
    observed text,
    threshold text,
    reason text,
    rows_affected integer,
    runs integer,
    since date,
    news boolean
)
