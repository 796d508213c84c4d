-- The points that issues were given after they had been asked about. (The platform keeps no history of points.)
select
    asked.position,
    i.story_points as label
from asked
join ml.source_issues as i on i.client_id = %(client_id)s and i.id = asked.entity_id
where
    i.active
    and i.story_points > 0
