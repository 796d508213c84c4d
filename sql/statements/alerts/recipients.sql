-- Whom the client's own row names.
select alert_emails, alert_webhook_conn_id
from ml.clients
where slug = %(slug)s
