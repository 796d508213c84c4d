-- Only the client's own rows can be read; where others can, isolation is broken and nothing may be trained.
-- severity: block
with
readable as (
    select 'issues' as name, client_id from ml.source_issues
    union all
    select 'changelogs' as name, client_id from ml.source_issue_changelogs
    union all
    select 'pull requests' as name, client_id from ml.source_pull_requests
    union all
    select 'commits' as name, client_id from ml.source_pull_request_commits
    union all
    select 'reviews' as name, client_id from ml.source_pull_request_reviews
),
foreign_rows as (
    select
        name,
        count(*) as rows
    from readable
    where client_id is distinct from %(client_id)s::integer
    group by name
)
-- Numbers only: what is another's is not named.
select
    count(*) = 0 as passed,
    coalesce(string_agg(rows || ' ' || name, ', ' order by name), 'no rows') || ' of other clients' as observed,
    'none' as threshold
from foreign_rows
