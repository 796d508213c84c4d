-- Of these those whose id is another entity's by now.
with
predicted as (
    select
        entity,
        entity_id,
        entity_key
    from jsonb_to_recordset(%(predicted)s::jsonb) as rows (entity text, entity_id bigint, entity_key text)
)
select
    p.entity,
    p.entity_id,
    p.entity_key
from predicted as p
join ml.source_issues as i on i.id = p.entity_id and i.client_id = %(client_id)s
where p.entity = 'issue' and i.key is distinct from p.entity_key
union all
select
    p.entity,
    p.entity_id,
    p.entity_key
from predicted as p
join ml.source_pull_requests as r on r.id = p.entity_id and r.client_id = %(client_id)s
where p.entity = 'pull_request' and r.key is distinct from p.entity_key
