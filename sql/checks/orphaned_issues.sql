-- The project, type and status of an issue are there. (One that another client has is not.)
-- severity: quarantine
-- entity: issue
-- The views have no ids of types and statuses, hence the tables.
select
    'issue' as entity,
    i.id as entity_id,
    concat_ws(
        ', ',
        case when i.project_id is not null and p.id is null then 'project ' || i.project_id || ' is not there' end,
        case when i.issuetype_id is not null and t.id is null then 'issue type ' || i.issuetype_id || ' is not there' end,
        case when i.status_id is not null and s.id is null then 'status ' || i.status_id || ' is not there' end
    ) as reason
from public.issues as i
left join public.projects as p on p.id = i.project_id and p.client_id = i.client_id
left join public.issuetypes as t on t.id = i.issuetype_id and t.client_id = i.client_id
left join public.statuses as s on s.id = i.status_id and s.client_id = i.client_id
where
    i.client_id = %(client_id)s::integer
    and i.active
    and (
        (i.project_id is not null and p.id is null)
        or (i.issuetype_id is not null and t.id is null)
        or (i.status_id is not null and s.id is null)
    )
