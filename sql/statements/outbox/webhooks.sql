-- The connections of the clients' own webhooks.
select distinct alert_webhook_conn_id as conn_id
from ml.clients
where alert_webhook_conn_id is not null
