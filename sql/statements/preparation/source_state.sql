-- What the client's rows come to, whatever order they are stored in; the last moment that any of them names; and the time.
with
sources as (
    select sum(hashtextextended(rows::text, 0)) as content, max(greatest(
        created, updated, work_first_committed_at, work_first_started_at, work_last_completed_at
    )) as last_moment
    from ml.source_issues as rows
    where client_id = %(client_id)s
    union all
    select sum(hashtextextended(rows::text, 0)), max(changed_at)
    from ml.source_issue_changelogs as rows
    where client_id = %(client_id)s
    union all
    select sum(hashtextextended(rows::text, 0)), max(greatest(created, first_review_at, merged_at, closed_at))
    from ml.source_pull_requests as rows
    where client_id = %(client_id)s
    union all
    select sum(hashtextextended(rows::text, 0)), max(authored_at)
    from ml.source_pull_request_commits as rows
    where client_id = %(client_id)s
)
select
    string_agg(coalesce(content, 0)::text, '/' order by content) as content,
    max(last_moment) as last_moment,
    clock_timestamp() at time zone 'utc' as wall
from sources
