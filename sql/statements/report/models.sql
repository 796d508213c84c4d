-- Every model of those clients: what its last nightly did with it, and what serves it now.
with
clients as (
    select client_id, slug
    from ml.clients
    where
        active
        and (%(slugs)s::text[] is null or slug = any(%(slugs)s::text[]))
),
last_runs as (
    select distinct on (client_id) client_id, run_id, predictions_written
    from ml.nightly_runs
    order by client_id, started_at desc
),
models as (
    select client_id, model
    from ml.training_runs
    union
    select client_id, model
    from ml.champions
)
select
    clients.slug,
    models.model,
    training.status,
    training.reason,
    training.rung as trained_rung,
    training.rows_train,
    training.rows_test,
    training.rows_removed,
    training.seconds,
    verdicts.passed,
    verdicts.decision,
    verdicts.scores,
    verdicts.rows_judged,
    verdicts.sentence,
    champions.rung as served_by,
    coalesce((last_runs.predictions_written ->> models.model)::bigint, 0) as predictions_written
from clients
join models on models.client_id = clients.client_id
left join last_runs on last_runs.client_id = clients.client_id
left join ml.training_runs as training
    on training.run_id = last_runs.run_id and training.model = models.model
left join ml.gate_verdicts as verdicts on verdicts.model_uuid = training.model_uuid
left join ml.champions as champions
    on champions.client_id = clients.client_id and champions.model = models.model
order by clients.slug, models.model
