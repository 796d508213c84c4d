-- Every model of the active clients whose rows the role may read: what serves it, how it was found last, and the last run
-- that was about it and might have changed something. No sentence of a verdict or of a look: these name rows, and fleet
-- people read this.
select
    clients.client_id,
    clients.slug,
    clients.name,
    clients.ml_predictions_enabled,
    models.model,
    champions.rung,
    champions.version,
    champions.promoted_at,
    health.status,
    health.checked_at,
    drift.drifting,
    drift.warming_up,
    last_runs.state as run_state,
    last_runs.as_of as run_as_of,
    last_runs.started_at as run_started_at
from ml.clients as clients
cross join unnest(%(models)s::text[]) as models (model)
left join ml.champions as champions
    on champions.client_id = clients.client_id and champions.model = models.model
left join lateral (
    select
        runs.state,
        runs.as_of,
        runs.started_at
    from ml.nightly_runs as runs
    where
        runs.client_id = clients.client_id
        and runs.binding
        and coalesce(nullif(runs.request -> 'models', 'null') ? models.model, true)
    order by runs.started_at desc
    limit 1
) as last_runs on true
left join lateral (
    select
        latest.run_id,
        latest.status,
        latest.checked_at
    from ml.model_health as latest
    where
        latest.client_id = clients.client_id
        and latest.model = models.model
    order by latest.checked_at desc
    limit 1
) as health on true
left join lateral (
    select
        count(*) filter (where found.state = 'drifting') as drifting,
        bool_and(found.state = 'warming up') as warming_up
    from ml.drift as found
    where found.run_id = health.run_id and found.model = models.model
) as drift on true
where clients.active
order by clients.slug, models.model
