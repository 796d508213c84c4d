-- The repository of a pull request is there. (One that another client has is not.)
-- severity: quarantine
-- entity: pull_request
select
    'pull_request' as entity,
    p.id as entity_id,
    'repository ' || p.repository_id || ' is not there' as reason
from ml.source_pull_requests as p
left join public.repositories as r on r.id = p.repository_id and r.client_id = p.client_id
where p.client_id = %(client_id)s::integer and p.active and p.repository_id is not null and r.id is null
