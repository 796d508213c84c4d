-- One row of the registry.
select *
from ml.clients
where slug = %(slug)s
