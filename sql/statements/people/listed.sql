-- Who acts for whom.
select
    people.kind,
    people.principal,
    array_agg(clients.slug order by clients.slug) as clients
from ml.client_people as people
join ml.clients as clients using (client_id)
group by people.kind, people.principal
order by people.kind, people.principal
