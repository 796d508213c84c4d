-- The rule of what serves; none when it has none yet.
select ranges.rule
from ml.champions as champions
join ml.ranges as ranges
    on ranges.client_id = champions.client_id
    and ranges.model = champions.model
    and ranges.answered_by = coalesce(champions.model_uuid, %(simple)s::uuid)
where
    champions.client_id = %(client_id)s
    and champions.model = %(model)s
