-- Alerts with deliveries that are due, those that were attempted least first, and the recipients in the client's row.
select
    deliveries.alert_id,
    array_agg(deliveries.channel order by deliveries.channel) as channels,
    coalesce(clients.alert_emails, '{{}}') as emails,
    clients.alert_webhook_conn_id as webhook_conn_id
from ml.alert_deliveries as deliveries
join ml.alerts using (alert_id)
left join ml.clients using (client_id)
where
    deliveries.delivered_at is null
    and deliveries.expires_at > clock_timestamp()
    and deliveries.next_attempt_at <= clock_timestamp()
group by deliveries.alert_id, clients.client_id
order by min(deliveries.attempts), deliveries.alert_id
