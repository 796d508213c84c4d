-- The newest enrichment of these issues, on the primary.
select
    issue_id as id,
    key,
    null::text as summary,
    null::timestamp as created,
    null::text as issuetype,
    null::float8 as story_points,
    value,
    grade,
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
