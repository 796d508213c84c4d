-- A user or a role acts for a client from now on; that it does already is no fault.
insert into ml.client_people (client_id, kind, principal)
values (%(client_id)s, %(kind)s, %(principal)s)
on conflict do nothing
