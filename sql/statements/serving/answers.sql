-- What was just answered.
select
    entity_id,
    value,
    from_prior,
    ranges::jsonb as ranges,
    features
from outgoing
