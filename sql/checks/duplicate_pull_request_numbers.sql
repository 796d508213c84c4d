-- A number names one pull request of its repository: of those that share it, all but the one with the lowest id are copies.
-- severity: quarantine
-- entity: pull_request
select
    'pull_request' as entity,
    n.id as entity_id,
    'number ' || n.number || ' of its repository is also that of pull request ' || n.first_id as reason
from (
    select
        p.id,
        p.number,
        min(p.id) over (partition by p.repository_id, p.number) as first_id
    from ml.source_pull_requests as p
    where
        p.client_id = %(client_id)s::integer
        and p.active
        and p.repository_id is not null
        and p.number is not null
) as n
where n.id > n.first_id
