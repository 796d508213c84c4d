-- End a key now.
update ml.api_keys
set revoked_at = clock_timestamp()
where
    key_id = %(key_id)s
    and revoked_at is null
