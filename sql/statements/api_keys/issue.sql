-- A new key.
insert into ml.api_keys (key_id, name, digest, clients, any_of, expires_at)
values (%(key_id)s, %(name)s, %(digest)s, %(clients)s::integer[], %(any_of)s, %(expires_at)s)
