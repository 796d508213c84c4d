-- How a model was found in this run.
insert into ml.model_health (
    client_id, model, run_id, status, reason, rung, model_uuid, data_as_of, replica_behind_seconds
)
values (
    %(client_id)s,
    %(model)s,
    %(run_id)s,
    %(status)s,
    %(reason)s,
    %(rung)s,
    %(model_uuid)s,
    %(data_as_of)s,
    %(behind)s
)
on conflict (run_id, model) do update
set
    status = excluded.status,
    reason = excluded.reason,
    rung = excluded.rung,
    model_uuid = excluded.model_uuid,
    data_as_of = excluded.data_as_of,
    replica_behind_seconds = excluded.replica_behind_seconds,
    checked_at = clock_timestamp()
