-- What one client has otherwise than the specs.
update ml.clients
set overrides = %(overrides)s
where client_id = %(client_id)s
