-- Issues with their names instead of ids, types by the platform's mapping: Historia is a Story. An orphan keeps its row;
-- another client's row never lends it a name.
create or replace view ml.source_issues with (security_invoker = true) as
select
    i.id::bigint as id,
    i.client_id,
    i.key::text as key,
    i.project_id,
    p.key::text as project_key,
    i.team::text as team,
    i.summary::text as summary,
    i.custom_field_01::text as description,
    i.custom_field_05::text as details,
    coalesce(nullif(btrim(n.issuetype_to), ''), t.original_name)::text as issuetype,
    t.hierarchy_level,
    m.status_to::text as status_to,
    coalesce(m.status_category, s.category)::text as status_category,
    i.story_points::float8 as story_points,
    i.assignee::text as assignee,
    i.comment_count::float8 as comment_count,
    i.priority::text as priority,
    i.labels::text as labels,
    i.external_id::text as external_id,
    i.parent_external_id::text as parent_external_id,
    i.created,
    i.updated,
    i.work_first_committed_at,
    i.work_first_started_at,
    i.work_last_completed_at,
    i.total_lead_time_seconds::float8 as total_lead_time_seconds,
    i.active,
    i.last_updated_at
from public.issues as i
left join public.projects as p on p.id = i.project_id and p.client_id = i.client_id
left join public.issuetypes as t on t.id = i.issuetype_id and t.client_id = i.client_id
left join public.issuetype_mappings as n on n.id = t.issuetype_mapping_id and n.client_id = i.client_id
left join public.statuses as s on s.id = i.status_id and s.client_id = i.client_id
left join public.status_mappings as m on m.id = s.status_mapping_id and m.client_id = i.client_id;
grant select on ml.source_issues to foresight_clients;
