-- What the report of a run says about its failure. `attempt` tells a run from its repetition after it was cleared.
select
    clients.name,
    runs.failed_tasks,
    extract(epoch from coalesce(runs.finished_at, runs.started_at))::bigint as attempt
from ml.clients
left join ml.nightly_runs as runs
    on runs.client_id = clients.client_id and runs.dag_run_id = %(dag_run_id)s
where clients.slug = %(slug)s
