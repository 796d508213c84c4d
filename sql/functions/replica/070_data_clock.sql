-- Up to when a client's rows go: the clock of one whose data end at some moment. A moment that lies after everything that
-- the platform has written is a typing error, not news from the future; so is one that this server has not reached.
create or replace function ml.data_clock(client integer) returns timestamp
language sql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
with
written as (
    select last_updated_at from ml.source_issues where client_id = client
    union all
    select last_updated_at from ml.source_pull_requests where client_id = client
),
edge as (
    select max(last_updated_at) + interval '1 day' as moment
    from written
    where isfinite(last_updated_at) and last_updated_at <= statement_timestamp() at time zone 'utc'
),
moments as (
    select unnest(array[created, updated, work_first_committed_at, work_first_started_at, work_last_completed_at]) as moment
    from ml.source_issues
    where client_id = client
    union all
    select changed_at from ml.source_issue_changelogs where client_id = client
    union all
    select unnest(array[created, first_review_at, merged_at, closed_at])
    from ml.source_pull_requests
    where client_id = client
    union all
    select authored_at from ml.source_pull_request_commits where client_id = client
)
select max(moments.moment)
from moments
cross join edge
where moments.moment <= least(edge.moment, statement_timestamp() at time zone 'utc')
$$;
revoke execute on function ml.data_clock(integer) from public;
grant execute on function ml.data_clock(integer) to foresight_clients;
