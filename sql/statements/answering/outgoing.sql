-- The answers as they travel. A client without any label is answered by the prior.
create temporary table outgoing on commit drop as
select
    scored.entity_id,
    {key} as key,
    answered.value,
    scored.known_labels = 0 as from_prior,
    (to_jsonb(scored) - array['client_id', 'entity_id', 'moment', 'known_at', 'label', 'slice', 'excluded'])::text as features
from answered
join scored on scored.entity_id = answered.entity_id
join {source} as source on source.id = scored.entity_id and source.client_id = scored.client_id
