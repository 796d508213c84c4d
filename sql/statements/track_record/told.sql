-- What people were told first of each entity, by the nights, newest entities first.
select
    first.entity_id,
    first.as_of,
    first.value,
    first.simple,
    first.ranges
from (
    select distinct on (answers.entity_id)
        answers.entity_id,
        answers.as_of,
        answers.prediction_value as value,
        (answers.input_features ->> 'simple')::float8 as simple,
        -- The quantiles that were told, where there were any: {{"p10": ..., "p90": ...}}.
        to_jsonb(answers) -> 'ranges' as ranges
    from ml.prediction_log as answers
    where
        answers.client_id = %(client_id)s
        and answers.model = %(model)s
        and answers.source = 'nightly'
        and answers.active
    order by
        answers.entity_id,
        answers.as_of,
        answers.created_at,
        answers.prediction_uuid
) as first
order by first.as_of desc
limit %(most)s
