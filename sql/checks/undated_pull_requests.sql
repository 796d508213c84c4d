-- A pull request without a date of opening has no place in time: nobody can tell what was known before it.
-- severity: quarantine
-- entity: pull_request
select
    'pull_request' as entity,
    p.id as entity_id,
    'no date of opening' as reason
from ml.source_pull_requests as p
where p.client_id = %(client_id)s::integer and p.active and p.created is null
