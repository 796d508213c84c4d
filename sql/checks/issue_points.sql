-- Story points are not negative, and not so many that they are a slip of the hand. (0 is what nobody has estimated.)
-- severity: quarantine
-- entity: issue
-- thresholds: {"max_points": 100}
select
    'issue' as entity,
    i.id as entity_id,
    i.story_points || ' story points' as reason
from ml.source_issues as i
where
    i.client_id = %(client_id)s::integer
    and i.active
    and (i.story_points < 0 or i.story_points > %(max_points)s::float8)
