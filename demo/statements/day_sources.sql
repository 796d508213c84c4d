-- Every active client with the integrations that its rows name.
select
    clients.id as client_id,
    max(integrations.id) filter (where integrations.name = 'JIRA') as jira,
    max(integrations.id) filter (where integrations.name = 'GITHUB') as github
from clients
left join integrations on integrations.client_id = clients.id
where clients.active
group by clients.id
order by clients.id
