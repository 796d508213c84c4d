select ml.provision_client(id)
from unnest(%(ids)s::integer[]) as id
order by id
