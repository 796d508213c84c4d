-- What has served, the newest first, with what is needed to let it serve again. `served`: the version that a rollback went
-- back to, else its own.
select
    ledger.version,
    coalesce(ledger.restores, ledger.version) as served,
    ledger.to_rung as rung,
    ledger.to_model_uuid as model_uuid,
    training.model_name,
    training.replica_conn_id,
    training.pgml_model_id,
    training.feature_hash,
    ledger.created_at
from ml.promotion_ledger as ledger
left join ml.training_runs as training on training.model_uuid = ledger.to_model_uuid
where
    ledger.client_id = %(client_id)s
    and ledger.model = %(model)s
order by ledger.version desc
