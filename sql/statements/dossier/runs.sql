-- The newest nights of the client, newest first, and what each was if it could change nothing.
select
    case
        when (request ->> 'dry_run')::boolean then 'dry run'
        when not binding then 'of the past'
    end as kind,
    dag_run_id,
    as_of,
    state,
    started_at,
    finished_at,
    failed_tasks,
    predictions_written
from ml.nightly_runs
where client_id = %(client_id)s
order by started_at desc
limit %(most)s
