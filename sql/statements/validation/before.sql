-- What these checks have found the last time, of the runs that bind: a run of the past sees other rows.
select
    last.check_name,
    last.passed,
    last.observed,
    last.runs,
    last.since
from unnest(%(check_names)s::text[]) as asked (check_name)
cross join lateral (
    select
        results.check_name,
        results.passed,
        results.observed,
        results.runs,
        coalesce(results.since, runs.as_of::date) as since
    from ml.validation_results as results
    join ml.nightly_runs as runs on runs.run_id = results.run_id
    where
        results.client_id = %(client_id)s
        and results.check_name = asked.check_name
        and results.run_id <> %(run_id)s
        and runs.binding
    order by results.created_at desc
    limit 1
) as last
