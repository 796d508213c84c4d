-- What the client's rows hang on is the client's too; where it is another's, the two are mixed up and nothing may be
-- trained.
-- severity: block
-- Row-level security hides the other's row, so that orphaned_issues and orphaned_pull_requests find such a one: this is for
-- the day on which it does not. The views have no projects, types and statuses, hence the tables.
with
linked as (
    select 'issues by project' as name, i.client_id, o.client_id as other
    from public.issues as i
    inner join public.projects as o on o.id = i.project_id
    union all
    select 'issues by type' as name, i.client_id, o.client_id as other
    from public.issues as i
    inner join public.issuetypes as o on o.id = i.issuetype_id
    union all
    select 'issues by status' as name, i.client_id, o.client_id as other
    from public.issues as i
    inner join public.statuses as o on o.id = i.status_id
    union all
    select 'changelogs by issue' as name, l.client_id, o.client_id as other
    from ml.source_issue_changelogs as l
    inner join ml.source_issues as o on o.id = l.issue_id
    union all
    select 'pull requests by repository' as name, p.client_id, o.client_id as other
    from ml.source_pull_requests as p
    inner join public.repositories as o on o.id = p.repository_id
    union all
    select 'pull requests by issue' as name, p.client_id, o.client_id as other
    from ml.source_pull_requests as p
    inner join ml.source_issues as o on o.id = p.issue_id
    union all
    select 'commits by pull request' as name, c.client_id, o.client_id as other
    from ml.source_pull_request_commits as c
    inner join ml.source_pull_requests as o on o.id = c.pull_request_id
    union all
    select 'reviews by pull request' as name, r.client_id, o.client_id as other
    from ml.source_pull_request_reviews as r
    inner join ml.source_pull_requests as o on o.id = r.pull_request_id
),
mixed as (
    select
        name,
        count(*) as rows
    from linked
    where client_id = %(client_id)s::integer and other <> client_id
    group by name
)
select
    count(*) = 0 as passed,
    coalesce(string_agg(rows || ' ' || name, ', ' order by name), 'no rows') || ' linked to another client' as observed,
    'none' as threshold
from mixed
