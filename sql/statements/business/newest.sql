-- The moment of the client's newest prediction.
select max(as_of) as as_of
from ml.prediction_log
where
    client_id = %(client_id)s
    and source = 'nightly'
    and active
