-- What was just answered.
select
    entity_id,
    value,
    from_prior,
    features::jsonb as features
from outgoing
