-- Moves of issues between statuses.
create or replace view ml.source_issue_changelogs with (security_invoker = true) as
select
    l.id::bigint as id,
    l.client_id,
    l.issue_id::bigint as issue_id,
    f.original_name::text as from_status,
    f.category::text as from_category,
    t.original_name::text as to_status,
    t.category::text as to_category,
    l.transition_change_date as changed_at,
    m.status_to::text as to_step,
    l.active
from public.issue_changelogs as l
left join public.statuses as f on f.id = l.from_status_id and f.client_id = l.client_id
left join public.statuses as t on t.id = l.to_status_id and t.client_id = l.client_id
left join public.status_mappings as m on m.id = t.status_mapping_id and m.client_id = l.client_id;
grant select on ml.source_issue_changelogs to foresight_clients;
