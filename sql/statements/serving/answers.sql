-- What was just answered.
select
    entity_id,
    key,
    value,
    from_prior,
    ranges::jsonb as ranges,
    features
from outgoing
