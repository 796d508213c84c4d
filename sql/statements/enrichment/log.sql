-- One row per prediction. Its id follows from the run and what was answered, so a repeated task logs nothing twice, and
-- what it answers otherwise once more. What a run that binds nothing answers about the past is told with hindsight: it is
-- logged, and is no part of the record of what people were told (`active`).
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
    run_id,
    as_of,
    active
)
select
    md5(concat_ws('/', %(run_id)s::uuid, %(model)s::text, entity_id, key, %(model_uuid)s::uuid, value, features))::uuid,
    %(client_id)s,
    %(model)s,
    %(model_name)s,
    %(model_uuid)s,
    case
        when from_prior and %(model_uuid)s::uuid is null then %(prior)s
        else %(rung)s
    end,
    %(entity)s,
    entity_id,
    key,
    value,
    ranges::jsonb,
    features::jsonb,
    %(feature_hash)s,
    %(milliseconds)s,
    'nightly',
    %(run_id)s,
    %(as_of)s,
    %(binding)s
from incoming
on conflict do nothing
