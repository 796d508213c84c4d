-- Runs that have been under way for longer than %(minutes)s minutes, the last one of each client. One that was cut off when
-- the client was deactivated is closed by its next run.
select clients.slug, clients.name, clients.replica_conn_id, runs.dag_run_id, runs.started_at
from ml.clients
join lateral (
    select dag_run_id, state, started_at
    from ml.nightly_runs
    where nightly_runs.client_id = clients.client_id
    order by started_at desc
    limit 1
) as runs on true
where
    clients.active
    and runs.state in ('running', 'prepared')
    and runs.started_at >= coalesce(clients.scheduled_since, '-infinity')
    and runs.started_at < clock_timestamp() - make_interval(mins => %(minutes)s)
order by clients.slug
