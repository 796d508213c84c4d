-- What serves this client. Columns by name: a server of predictions prepares this, and a column that is added while it runs
-- must not change what it gives.
select
    model,
    version,
    rung,
    model_uuid,
    model_name,
    replica_conn_id,
    pgml_model_id,
    feature_hash
from ml.champions
where client_id = %(client_id)s
