-- An issue without a date of creation has no place in time: nobody can tell what was known before it.
-- severity: quarantine
-- entity: issue
select
    'issue' as entity,
    i.id as entity_id,
    'no date of creation' as reason
from ml.source_issues as i
where i.client_id = %(client_id)s::integer and i.active and i.created is null
