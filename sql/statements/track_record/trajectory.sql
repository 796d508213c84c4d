-- How many seconds epics took from the moment that they were asked about.
select
    asked.position,
    extract(epoch from i.work_last_completed_at - asked.as_of)::float8 as label,
    i.work_last_completed_at as known_at
from asked
join ml.source_issues as i on i.client_id = %(client_id)s and i.id = asked.entity_id
where
    i.active
    and (asked.entity_key is null or asked.entity_key = i.key)
    and i.work_last_completed_at > asked.as_of
