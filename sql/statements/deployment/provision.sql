-- Roles, grants and schemas of these clients; repeating it changes nothing.
select ml.provision_client(id)
from unnest(%(ids)s::integer[]) as id
order by id
