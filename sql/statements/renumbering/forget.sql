-- The newest predictions of entities that have other ids now.
delete from {predictions} as kept
using unnest(%(entity_ids)s::bigint[], %(entity_keys)s::text[]) as gone (entity_id, entity_key)
where
    kept.client_id = %(client_id)s
    and kept.{entity_id} = gone.entity_id
    and kept.key = gone.entity_key
