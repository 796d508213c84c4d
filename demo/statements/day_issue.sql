-- A new issue that nobody has estimated, worded like an older one of the client; once per external id.
insert into issues (
    external_id,
    key,
    project_id,
    team,
    summary,
    issuetype_id,
    status_id,
    created,
    updated,
    priority,
    comment_count,
    custom_field_01,
    custom_field_05,
    integration_id,
    client_id
)
select
    %(external_id)s::varchar,
    projects.key || '-' || (
        select max(substring(key from '\d+$')::integer) + 1 from issues as of_all where of_all.project_id = projects.id
    ),
    projects.id,
    alike.team,
    alike.summary,
    alike.issuetype_id,
    (
        select statuses.id
        from statuses
        inner join status_mappings on status_mappings.id = statuses.status_mapping_id
        where statuses.client_id = alike.client_id and status_mappings.status_to = 'Backlog'
        order by statuses.id
        limit 1
    ),
    now() at time zone 'utc',
    now() at time zone 'utc',
    'Medium',
    0,
    alike.custom_field_01,
    alike.custom_field_05,
    %(integration_id)s::integer,
    alike.client_id
from (
    select issues.*
    from issues
    inner join issuetypes on issuetypes.id = issues.issuetype_id
    where
        issues.client_id = %(client_id)s
        and issuetypes.original_name in ('Story', 'Task', 'Bug')
        and issues.active
        and length(issues.summary) between 11 and 500
    order by issues.id * %(pick)s::bigint %% 1009, issues.id
    limit 1
) as alike
inner join projects on projects.id = alike.project_id
where not exists (
    select from issues as earlier
    where earlier.client_id = %(client_id)s and earlier.external_id = %(external_id)s::varchar
)
