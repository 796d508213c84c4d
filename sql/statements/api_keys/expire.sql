-- Let a key end in some days, if it does not earlier.
update ml.api_keys
set expires_at = least(expires_at, clock_timestamp() + make_interval(days => %(days)s::integer))
where key_id = %(key_id)s
