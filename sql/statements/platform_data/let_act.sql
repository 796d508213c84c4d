-- Who runs a local instance looks at its clients' pages: of servers that exist, their owner says who may.
insert into ml.client_people (client_id, principal, kind)
select client_id, %(user)s, 'user'
from ml.clients
on conflict do nothing
