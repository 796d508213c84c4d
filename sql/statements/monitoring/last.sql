-- The newest look at every model of a client, beside how old what serves is, what was decided last, and what the last
-- training asked of the replica.
select
    looks.model,
    looks.status,
    looks.reason,
    looks.rung,
    looks.checked_at,
    looks.data_as_of,
    looks.replica_behind_seconds,
    serving.as_of as model_as_of,
    verdicts.decision,
    verdicts.passed,
    verdicts.as_of as judged_as_of,
    trained.as_of as trained_as_of,
    trained.seconds,
    trained.cpu_seconds,
    trained.peak_bytes,
    trained.temp_bytes,
    trained.longest_seconds,
    trained.longest_statement
from (
    select distinct on (model)
        model,
        status,
        reason,
        rung,
        model_uuid,
        checked_at,
        data_as_of,
        replica_behind_seconds
    from ml.model_health
    where client_id = %(client_id)s
    order by
        model,
        checked_at desc
) as looks
left join lateral (
    select runs.as_of
    from ml.training_runs as training
    join ml.nightly_runs as runs on runs.run_id = training.run_id
    where training.model_uuid = looks.model_uuid
) as serving on true
left join lateral (
    select
        judged.decision,
        judged.passed,
        runs.as_of
    from ml.gate_verdicts as judged
    join ml.nightly_runs as runs on runs.run_id = judged.run_id
    where
        judged.client_id = %(client_id)s
        and judged.model = looks.model
        and runs.binding
    order by judged.created_at desc
    limit 1
) as verdicts on true
left join lateral (
    select
        training.seconds,
        training.cpu_seconds,
        training.peak_bytes,
        training.temp_bytes,
        training.longest_seconds,
        training.longest_statement,
        runs.as_of
    from ml.training_runs as training
    join ml.nightly_runs as runs on runs.run_id = training.run_id
    where
        training.client_id = %(client_id)s
        and training.model = looks.model
        and training.status = 'trained'
        and runs.binding
    order by training.started_at desc
    limit 1
) as trained on true
order by looks.model
