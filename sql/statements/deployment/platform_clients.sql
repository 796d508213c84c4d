-- The platform's clients, and the slug of those that the registry has.
select p.id, p.name, c.slug
from public.clients as p
left join ml.clients as c on c.client_id = p.id
order by p.id
