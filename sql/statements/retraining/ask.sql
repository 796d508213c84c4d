-- A training is wanted. A repeated task asks once.
insert into ml.retrain_requests (request_id, client_id, model, run_id, as_of, reason, error_before, error_recent, luck)
values (
    %(request_id)s,
    %(client_id)s,
    %(model)s,
    %(run_id)s,
    %(as_of)s,
    %(reason)s,
    %(before)s,
    %(recent)s,
    %(luck)s
)
on conflict (run_id, model) do update
set reason = excluded.reason
returning request_id
