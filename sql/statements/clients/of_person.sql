-- For which clients somebody acts, by name or by role.
select distinct client_id
from ml.client_people
where
    (kind = 'user' and principal = %(user)s)
    or (kind = 'role' and principal = any(%(roles)s::text[]))
order by client_id
