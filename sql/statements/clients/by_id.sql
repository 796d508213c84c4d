-- One row of the registry, its columns by name: a server of predictions prepares this, and a column that is added while it
-- runs must not change what it gives.
select
    client_id,
    slug,
    name,
    active,
    ml_predictions_enabled,
    schedule,
    time_zone,
    replica_conn_id,
    clock,
    overrides,
    alert_emails,
    alert_webhook_conn_id,
    provisioned_at
from ml.clients
where client_id = %(client_id)s
