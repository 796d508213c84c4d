-- A client that is registered already keeps its row.
insert into ml.clients (client_id, slug, name, clock)
values (%(client_id)s, %(slug)s, %(name)s, %(clock)s)
on conflict do nothing
