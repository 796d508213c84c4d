-- One row per client and cause, with a delivery for each channel; nothing is returned if the cause is recorded already.
with recorded as (
    insert into ml.alerts (client_id, cause, subject, body, created_at)
    values (
        (select client_id from ml.clients where slug = %(slug)s),
        %(cause)s,
        %(subject)s,
        %(body)s,
        coalesce(%(found_at)s, clock_timestamp())
    )
    on conflict do nothing
    returning alert_id, created_at
)

insert into ml.alert_deliveries (alert_id, channel, expires_at)
select recorded.alert_id, wanted.channel, recorded.created_at + make_interval(secs => %(stale_after)s)
from recorded
cross join unnest(%(channels)s::text[]) as wanted (channel)
returning alert_id
