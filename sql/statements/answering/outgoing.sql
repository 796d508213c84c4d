-- The answers as they travel, each with its ranges. A client without any label is answered by the prior.
create temporary table outgoing on commit drop as
select
    scored.entity_id,
    scored.entity_key as key,
    coalesce((said.ranges ->> 'value')::float8, answered.value) as value,
    scored.known_labels = 0 as from_prior,
    said.ranges::text as ranges,
    (to_jsonb(scored) - array['client_id', 'entity_id', 'entity_key', 'moment', 'known_at', 'label', 'slice', 'excluded'])::text as features
from answered
join scored on scored.entity_id = answered.entity_id
left join ml.ranges as learned
    on learned.client_id = scored.client_id
    and learned.model = %(model)s
    and learned.answered_by = %(answered_by)s::uuid
cross join lateral (select ml.ranged(answered.value, learned.rule) as ranges) as said
