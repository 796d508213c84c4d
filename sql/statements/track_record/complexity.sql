-- The points that issues were given after they had been asked about. The platform keeps no history of points: they are
-- taken to be known when work on the issue began, or else was done, or else when the row was last written.
select
    asked.position,
    i.story_points as label,
    greatest(
        asked.as_of, coalesce(i.work_first_started_at, i.work_last_completed_at, i.last_updated_at, asked.as_of)
    ) as known_at
from asked
join ml.source_issues as i on i.client_id = %(client_id)s and i.id = asked.entity_id
where
    i.active
    and (asked.entity_key is null or asked.entity_key = i.key)
    and i.story_points > 0
