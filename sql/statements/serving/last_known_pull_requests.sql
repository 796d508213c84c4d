-- The newest enrichment of these pull requests, on the primary: by key, which may have had several ids.
select distinct on (asked.number)
    pull_request_id as id,
    asked.number,
    %(repository)s::text as repository,
    null::text as title,
    null::timestamp as created,
    value,
    grade,
    case
        when low_80 is not null
            then
                jsonb_build_object(
                    'low_50', low_50, 'high_50', high_50, 'low_80', low_80, 'high_80', high_80, 'p85', p85
                )
    end as ranges,
    rung,
    model_uuid,
    prediction_uuid,
    as_of,
    predicted_at
from unnest(%(numbers)s::integer[]) as asked (number)
join ml.pull_request_predictions as kept on kept.key = %(repository)s::text || '#' || asked.number
where
    client_id = %(client_id)s::integer
    and model = %(model)s
order by
    asked.number,
    as_of desc,
    predicted_at desc
