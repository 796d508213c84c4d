-- A batch of answers. What an earlier try has brought is left alone; naming what would collide would ask for more than the
-- right to insert.
insert into ml.prediction_log (
    prediction_uuid,
    client_id,
    model,
    model_name,
    model_uuid,
    rung,
    entity,
    entity_id,
    entity_key,
    prediction_value,
    ranges,
    input_features,
    feature_hash,
    response_time_ms,
    source,
    as_of,
    created_at
)
select
    prediction_uuid,
    client_id,
    model,
    model_name,
    model_uuid,
    rung,
    entity,
    entity_id,
    entity_key,
    prediction_value,
    ranges,
    input_features::jsonb,
    feature_hash,
    response_time_ms,
    'api',
    as_of,
    created_at
from jsonb_to_recordset(%(rows)s::jsonb) as rows (
    prediction_uuid uuid,
    client_id integer,
    model text,
    model_name text,
    model_uuid uuid,
    rung text,
    entity text,
    entity_id bigint,
    entity_key text,
    prediction_value double precision,
    ranges jsonb,
    -- As text: it is carried from the replica to here without being looked into.
    input_features text,
    feature_hash text,
    response_time_ms integer,
    as_of timestamp,
    created_at timestamptz
)
on conflict do nothing
