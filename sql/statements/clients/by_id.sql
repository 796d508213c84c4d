-- One row of the registry.
select *
from ml.clients
where client_id = %(client_id)s
