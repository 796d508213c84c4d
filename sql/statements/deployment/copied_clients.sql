-- The platform's clients as the replica has them.
select id, name
from public.clients
order by id
