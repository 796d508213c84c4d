-- Claim an alert's due deliveries on these channels: until the lease ends nobody else attempts them. The lock on the
-- alert gives all of them to one process; whoever finds it locked leaves them to that process.
with held as (
    select
        alerts.alert_id,
        clients.slug,
        alerts.cause,
        alerts.subject,
        alerts.body,
        alerts.created_at
    from ml.alerts
    left join ml.clients using (client_id)
    where alerts.alert_id = %(alert_id)s
    for update of alerts skip locked
)

update ml.alert_deliveries as deliveries
set
    attempts = deliveries.attempts + 1,
    next_attempt_at = clock_timestamp() + make_interval(secs => %(lease)s)
from held
where
    deliveries.alert_id = held.alert_id
    and deliveries.channel = any(%(channels)s)
    and deliveries.delivered_at is null
    and deliveries.next_attempt_at <= clock_timestamp()
returning
    deliveries.channel,
    deliveries.attempts,
    held.slug,
    held.cause,
    held.subject,
    held.body,
    held.created_at,
    held.created_at < clock_timestamp() - make_interval(secs => %(late_after)s) as late
