-- What the client's rows come to, whatever order they are stored in; up to when they go; and the time.
with
sources as (
    select sum(hashtextextended(rows::text, 0)) as content
    from ml.source_issues as rows
    where client_id = %(client_id)s
    union all
    select sum(hashtextextended(rows::text, 0))
    from ml.source_issue_changelogs as rows
    where client_id = %(client_id)s
    union all
    select sum(hashtextextended(rows::text, 0))
    from ml.source_pull_requests as rows
    where client_id = %(client_id)s
    union all
    select sum(hashtextextended(rows::text, 0))
    from ml.source_pull_request_commits as rows
    where client_id = %(client_id)s
)
select
    string_agg(coalesce(content, 0)::text, '/' order by content) as content,
    case when %(clock)s = 'data' then ml.data_clock(%(client_id)s) end as last_moment,
    clock_timestamp() at time zone 'utc' as wall
from sources
