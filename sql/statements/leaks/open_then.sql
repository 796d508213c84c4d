-- Entities whose label was not known at that moment: that night, or a later one, has predicted them.
select distinct
    entity_id,
    entity_key
from ml.prediction_log
where
    client_id = %(client_id)s
    and model = %(model)s
    and source = 'nightly'
    and as_of >= %(as_of)s
