-- Every model of those clients: what the last run that was about it and might have changed something did with it, what
-- serves it now, and what its last answers were of.
with
clients as (
    select client_id, slug
    from ml.clients
    where
        active
        and (%(slugs)s::text[] is null or slug = any(%(slugs)s::text[]))
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
    -- What needs no model answers a client without any label by a constant.
    case when champions.rung = 'recent' then coalesce(answers.rung, champions.rung) else champions.rung end as served_by,
    answers.remark,
    coalesce((last_runs.predictions_written ->> models.model)::bigint, 0) as predictions_written
from clients
join models on models.client_id = clients.client_id
left join lateral (
    select
        runs.run_id,
        runs.predictions_written
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
        runs.phases -> 'enrich' -> 'rungs' ->> models.model as rung,
        nullif(
            concat_ws(
                '; ',
                runs.phases -> 'enrich' -> 'remarks' ->> models.model,
                runs.phases -> 'enrich' -> 'constant' ->> models.model
            ),
            ''
        ) as remark
    from ml.nightly_runs as runs
    where
        runs.client_id = clients.client_id
        and runs.binding
        and runs.phases -> 'enrich' -> 'rungs' ? models.model
    order by runs.started_at desc
    limit 1
) as answers on true
left join ml.training_runs as training
    on training.run_id = last_runs.run_id and training.model = models.model
left join ml.gate_verdicts as verdicts on verdicts.model_uuid = training.model_uuid
left join ml.champions as champions
    on champions.client_id = clients.client_id and champions.model = models.model
order by clients.slug, models.model
