-- The row of this model's training. A repeated task finds what it has done; what it had only begun, it begins again.
insert into ml.training_runs (
    model_uuid, run_id, client_id, model, model_name, spec_digest, status, replica_conn_id, code_version
)
values (
    gen_random_uuid(),
    %(run_id)s,
    %(client_id)s,
    %(model)s,
    %(model_name)s,
    %(spec_digest)s,
    'running',
    %(replica_conn_id)s,
    %(code_version)s
)
on conflict (run_id, model) do update
set
    status = case
        when training_runs.status = any(%(done)s::text[]) then training_runs.status
        else 'running'
    end
returning model_uuid, status, reason, rung
