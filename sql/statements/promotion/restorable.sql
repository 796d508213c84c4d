-- Models that somebody may go back to: of each model's last different champions as many as are kept.
select pgml_model_id
from (
    select
        training.pgml_model_id,
        row_number() over (partition by training.model order by max(ledger.version) desc) as place
    from ml.promotion_ledger as ledger
    join ml.training_runs as training on training.model_uuid = ledger.to_model_uuid
    where
        ledger.client_id = %(client_id)s
        and training.replica_conn_id = %(replica_conn_id)s
        and training.pgml_model_id is not null
    group by
        training.model,
        training.model_uuid
) as served
where place <= %(count)s
