-- A key that may be used now.
select
    name,
    digest,
    clients,
    any_of
from ml.api_keys
where
    key_id = %(key_id)s
    and revoked_at is null
    and (expires_at is null or expires_at > clock_timestamp())
