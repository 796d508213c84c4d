-- What became of an attempt. One that outlived its lease changes nothing, unless it delivered the message after all.
update ml.alert_deliveries
set
    delivered_at = case when %(delivered)s then clock_timestamp() end,
    attempts = attempts - %(uncounted)s,
    next_attempt_at = clock_timestamp() + make_interval(secs => %(wait)s),
    last_error = %(error)s
where
    alert_id = %(alert_id)s
    and channel = %(channel)s
    and delivered_at is null
    and (%(delivered)s or attempts = %(attempts)s)
