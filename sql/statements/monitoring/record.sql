-- How a model was found in this run.
insert into ml.model_health (client_id, model, run_id, status, reason, rung, model_uuid)
values (%(client_id)s, %(model)s, %(run_id)s, %(status)s, %(reason)s, %(rung)s, %(model_uuid)s)
on conflict (run_id, model) do update
set
    status = excluded.status,
    reason = excluded.reason,
    rung = excluded.rung,
    model_uuid = excluded.model_uuid,
    checked_at = clock_timestamp()
