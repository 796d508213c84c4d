-- A key names one issue: of those that share it, all but the one with the lowest id are copies.
-- severity: quarantine
-- entity: issue
select
    'issue' as entity,
    n.id as entity_id,
    'key ' || left(n.key, 100) || ' is also that of issue ' || n.first_id as reason
from (
    select
        i.id,
        i.key,
        min(i.id) over (partition by i.key) as first_id
    from ml.source_issues as i
    where i.client_id = %(client_id)s::integer and i.active and btrim(i.key) <> ''
) as n
where n.id > n.first_id
