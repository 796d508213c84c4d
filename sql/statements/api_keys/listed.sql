-- Every key, without what would let somebody use it.
select
    keys.key_id,
    keys.name,
    keys.any_of,
    keys.created_at,
    keys.expires_at,
    keys.revoked_at,
    (select array_agg(slug order by slug) from ml.clients where client_id = any(keys.clients)) as clients
from ml.api_keys as keys
order by keys.created_at
