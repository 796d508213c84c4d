-- What people were told first of each entity: the log only grows, so the same moment gives the same rows.
select distinct on (entity_id, entity_key)
    entity_id,
    entity_key,
    as_of,
    prediction_value as value,
    coalesce((ranges ->> 'p85')::float8, prediction_value) as late,
    (input_features ->> 'simple')::float8 as simple
from ml.prediction_log as answers
where
    client_id = %(client_id)s
    and model = %(model)s
    and source = 'nightly'
    and as_of <= %(as_of)s
    and active
order by
    entity_id,
    entity_key,
    as_of,
    created_at,
    prediction_uuid
