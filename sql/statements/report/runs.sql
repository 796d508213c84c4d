-- The last run of every active client, or of those that %(slugs)s names, that might have changed something.
with
clients as (
    select client_id, slug, name, ml_predictions_enabled
    from ml.clients
    where
        active
        and (%(slugs)s::text[] is null or slug = any(%(slugs)s::text[]))
)
select
    clients.slug,
    clients.name,
    clients.ml_predictions_enabled,
    runs.run_id,
    runs.state,
    runs.as_of,
    runs.predictions_written,
    runs.failed_tasks,
    runs.summary,
    runs.started_at,
    extract(epoch from runs.finished_at - runs.started_at)::float8 as seconds
from clients
left join lateral (
    select *
    from ml.nightly_runs
    where
        nightly_runs.client_id = clients.client_id
        and nightly_runs.binding
    order by nightly_runs.started_at desc
    limit 1
) as runs on true
order by clients.slug
