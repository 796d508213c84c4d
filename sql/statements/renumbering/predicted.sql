-- What the client's newest predictions are of, each entity once, as JSON. One without a key is taken by its id alone.
select coalesce(jsonb_agg(to_jsonb(predicted)), '[]')::text as predicted
from (
    select distinct
        'issue' as entity,
        issue_id as entity_id,
        key as entity_key
    from ml.issue_predictions
    where client_id = %(client_id)s and key is not null
    union all
    select distinct
        'pull_request' as entity,
        pull_request_id as entity_id,
        key as entity_key
    from ml.pull_request_predictions
    where client_id = %(client_id)s and key is not null
) as predicted
