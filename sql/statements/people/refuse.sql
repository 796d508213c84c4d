-- A user or a role acts for a client no longer.
delete from ml.client_people
where
    client_id = %(client_id)s
    and kind = %(kind)s
    and principal = %(principal)s
