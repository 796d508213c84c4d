-- Somebody begins to work on an open issue, hands it to review, or takes it back from there; once per external id.
with open_issue as (
    select
        issues.id,
        issues.client_id,
        issues.status_id,
        status_mappings.status_to as step,
        coalesce(
            (select max(transition_change_date) from issue_changelogs where issue_id = issues.id),
            issues.created
        ) as since
    from issues
    inner join statuses on statuses.id = issues.status_id
    inner join status_mappings on status_mappings.id = statuses.status_mapping_id
    inner join issuetypes on issuetypes.id = issues.issuetype_id
    where
        issues.client_id = %(client_id)s
        and issues.active
        and issues.created < now() at time zone 'utc'
        and issuetypes.original_name in ('Story', 'Task', 'Bug')
        and status_mappings.status_to in ('Backlog', 'Committed', 'In Progress', 'Review')
        and not exists (
            select from issue_changelogs
            where issue_changelogs.client_id = %(client_id)s and issue_changelogs.external_id = %(external_id)s::varchar
        )
    order by issues.id desc
    offset %(pick)s %% 20
    limit 1
),
moved as (
    select
        open_issue.*,
        now() at time zone 'utc' as at,
        open_issue.step <> 'In Progress' as is_start,
        (
            select statuses.id
            from statuses
            inner join status_mappings on status_mappings.id = statuses.status_mapping_id
            where
                statuses.client_id = open_issue.client_id
                and status_mappings.status_to = case open_issue.step when 'In Progress' then 'Review' else 'In Progress' end
            order by statuses.id
            limit 1
        ) as to_status_id
    from open_issue
),
logged as (
    insert into issue_changelogs (
        issue_id,
        external_id,
        from_status_id,
        to_status_id,
        transition_start_date,
        transition_change_date,
        time_in_status_seconds,
        integration_id,
        client_id
    )
    select
        id,
        %(external_id)s::varchar,
        status_id,
        to_status_id,
        since,
        at,
        extract(epoch from at - since),
        %(integration_id)s::integer,
        client_id
    from moved
)
update issues
set
    status_id = moved.to_status_id,
    updated = moved.at,
    work_first_started_at = case
        when moved.is_start then coalesce(issues.work_first_started_at, moved.at) else issues.work_first_started_at
    end,
    work_last_started_at = case when moved.is_start then moved.at else issues.work_last_started_at end,
    total_work_starts = issues.total_work_starts + moved.is_start::integer,
    rework_indicator = issues.total_work_starts + moved.is_start::integer > 1,
    total_work_time_seconds = issues.total_work_time_seconds
        + case when moved.step = 'In Progress' then extract(epoch from moved.at - moved.since) else 0 end,
    total_review_time_seconds = issues.total_review_time_seconds
        + case when moved.step = 'Review' then extract(epoch from moved.at - moved.since) else 0 end,
    last_updated_at = moved.at
from moved
where issues.id = moved.id
