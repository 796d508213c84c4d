-- The last training of this model that the gate has seen and that could have changed what is served, as of the run.
select
    training.fingerprint,
    training.spec_digest,
    training.pgml_version,
    training.feature_hash,
    coalesce(training.rows_train, 0) + coalesce(training.rows_test, 0) as rows,
    runs.as_of
from ml.training_runs as training
join ml.gate_verdicts as verdicts on verdicts.model_uuid = training.model_uuid
join ml.nightly_runs as runs on runs.run_id = training.run_id
where
    training.client_id = %(client_id)s
    and training.model = %(model)s
    and runs.binding
    and runs.as_of <= %(as_of)s
order by training.started_at desc
limit 1
