-- What serves this client.
select *
from ml.champions
where client_id = %(client_id)s
