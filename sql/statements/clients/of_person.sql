-- For which clients somebody acts, by name or by role. One that is switched off, or has no role yet, is none.
select distinct people.client_id
from ml.client_people as people
join ml.clients as clients on clients.client_id = people.client_id
where
    clients.active
    and clients.provisioned_at is not null
    and (
        (people.kind = 'user' and people.principal = %(user)s)
        or (people.kind = 'role' and people.principal = any(%(roles)s::text[]))
    )
order by people.client_id
