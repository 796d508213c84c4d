-- The training of a model, or without one the newest of this client and model that might have changed something.
select
    training.model_uuid,
    training.status,
    training.reason,
    training.why,
    training.rung,
    training.ladder,
    training.spec_digest,
    training.model_name,
    training.replica_conn_id,
    training.pgml_model_id,
    training.pgml_version,
    training.training_table,
    training.fingerprint,
    training.feature_names,
    training.feature_hash,
    training.rows_train,
    training.rows_test,
    training.rows_removed,
    training.cut_at,
    training.metrics,
    training.seconds,
    training.cpu_seconds,
    training.peak_bytes,
    training.temp_bytes,
    training.longest_seconds,
    training.longest_statement,
    training.code_version,
    training.started_at,
    training.finished_at,
    runs.as_of,
    runs.dag_run_id,
    runs.source_fingerprint
from ml.training_runs as training
join ml.nightly_runs as runs on runs.run_id = training.run_id
where
    training.client_id = %(client_id)s
    and training.model = %(model)s
    and case when %(model_uuid)s::uuid is null then runs.binding else training.model_uuid = %(model_uuid)s::uuid end
order by training.started_at desc
limit 1
