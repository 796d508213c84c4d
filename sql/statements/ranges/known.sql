-- The rules that a model of a client has so far.
select
    answered_by,
    rule,
    levels,
    as_of
from ml.ranges
where
    client_id = %(client_id)s
    and model = %(model)s
