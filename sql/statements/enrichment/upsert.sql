-- The newest prediction of every entity. A run that binds nothing (one of the past, a late repetition) never replaces one
-- of a later moment; where one that binds finds such a prediction, the clock has gone back.
insert into {predictions} as kept (
    client_id, model, {entity_id}, key, prediction_uuid, value, low_50, high_50, low_80, high_80, p85, grade, rung, model_uuid, as_of
)
select
    %(client_id)s,
    %(model)s,
    incoming.entity_id,
    incoming.key,
    md5(concat_ws('/', %(run_id)s::uuid, %(model)s::text, incoming.entity_id, incoming.key, %(model_uuid)s::uuid, incoming.value, incoming.features))::uuid,
    incoming.value,
    (incoming.ranges::jsonb ->> 'low_50')::float8,
    (incoming.ranges::jsonb ->> 'high_50')::float8,
    (incoming.ranges::jsonb ->> 'low_80')::float8,
    (incoming.ranges::jsonb ->> 'high_80')::float8,
    (incoming.ranges::jsonb ->> 'p85')::float8,
    coalesce(
        (
            select limits.entry ->> 1
            from jsonb_array_elements(%(grades)s::jsonb -> 'limits') with ordinality as limits (entry, place)
            where
                case %(grades)s::jsonb ->> 'of'
                    when 'value' then incoming.value
                    else (incoming.ranges::jsonb ->> 'share')::float8
                end < (limits.entry ->> 0)::float8
            order by limits.place
            limit 1
        ),
        %(grades)s::jsonb ->> 'else'
    ),
    case
        when incoming.from_prior and %(model_uuid)s::uuid is null then %(prior)s
        else %(rung)s
    end,
    %(model_uuid)s,
    %(as_of)s
from incoming
on conflict (client_id, model, {entity_id}) do update
set
    key = excluded.key,
    prediction_uuid = excluded.prediction_uuid,
    value = excluded.value,
    low_50 = excluded.low_50,
    high_50 = excluded.high_50,
    low_80 = excluded.low_80,
    high_80 = excluded.high_80,
    p85 = excluded.p85,
    grade = excluded.grade,
    rung = excluded.rung,
    model_uuid = excluded.model_uuid,
    as_of = excluded.as_of,
    predicted_at = clock_timestamp()
where %(binding)s or kept.as_of <= excluded.as_of
