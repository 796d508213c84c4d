-- The newest enrichment of these issues, on the primary: by key, which may have had several ids.
select distinct on (key)
    issue_id as id,
    key,
    null::text as summary,
    null::timestamp as created,
    null::text as issuetype,
    null::float8 as story_points,
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
from ml.issue_predictions
where
    client_id = %(client_id)s::integer
    and model = %(model)s
    and key = any(%(keys)s::text[])
order by
    key,
    as_of desc,
    predicted_at desc
