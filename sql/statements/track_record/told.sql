-- What people were told first of each entity, by the nights, newest entities first. Which answer was the first is found
-- without looking into it: a year of nights has many, and only these are opened.
select
    answers.entity_id,
    answers.entity_key,
    answers.as_of,
    answers.prediction_value as value,
    (answers.input_features ->> 'simple')::float8 as simple,
    answers.ranges
from (
    select distinct on (log.entity_id, log.entity_key)
        log.prediction_uuid,
        log.as_of
    from ml.prediction_log as log
    where
        log.client_id = %(client_id)s
        and log.model = %(model)s
        and log.source = 'nightly'
        and log.active
        and (%(until)s::timestamp is null or log.as_of <= %(until)s::timestamp)
    order by
        log.entity_id,
        log.entity_key,
        log.as_of,
        log.created_at,
        log.prediction_uuid
) as first
join ml.prediction_log as answers on answers.prediction_uuid = first.prediction_uuid
order by
    first.as_of desc,
    answers.entity_id,
    answers.entity_key
limit %(most)s
