-- What serves, since when, and the training that it came from.
select
    champions.rung,
    champions.version,
    champions.promoted_at,
    champions.model_uuid,
    champions.model_name,
    champions.replica_conn_id,
    champions.pgml_model_id,
    champions.feature_hash
from ml.champions as champions
where
    champions.client_id = %(client_id)s
    and champions.model = %(model)s
