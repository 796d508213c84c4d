-- Of clients whose last run was a dry run or one of the past: what it came to, model by model.
with
last_runs as (
    select distinct on (clients.slug)
        clients.slug,
        runs.run_id,
        runs.binding,
        runs.state,
        runs.as_of,
        coalesce((runs.request ->> 'dry_run')::boolean, false) as dry_run
    from ml.clients as clients
    join ml.nightly_runs as runs on runs.client_id = clients.client_id
    where
        clients.active
        and (%(slugs)s::text[] is null or clients.slug = any(%(slugs)s::text[]))
    order by clients.slug, runs.started_at desc
)
select
    last_runs.slug,
    last_runs.state,
    last_runs.as_of,
    last_runs.dry_run,
    training.model,
    training.status,
    training.reason,
    verdicts.sentence
from last_runs
left join ml.training_runs as training on training.run_id = last_runs.run_id
left join ml.gate_verdicts as verdicts on verdicts.model_uuid = training.model_uuid
where not last_runs.binding
order by last_runs.slug, training.model
