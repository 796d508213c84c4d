-- Somebody opens a pull request with one commit in it, in the manner of an older one of the client; once per external id.
with alike as (
    select *
    from pull_requests
    where client_id = %(client_id)s and active and user_name is not null and name is not null and additions >= 0
    order by id * %(pick)s::bigint %% 1009, id
    limit 1
),
opened as (
    insert into pull_requests (
        external_id,
        external_repo_id,
        repository_id,
        number,
        name,
        user_name,
        discussion_comment_count,
        review_comment_count,
        source,
        destination,
        reviewers,
        status,
        pr_created_at,
        pr_updated_at,
        commit_count,
        additions,
        deletions,
        changed_files,
        rework_commit_count,
        review_cycles,
        integration_id,
        client_id
    )
    select
        %(external_id)s::varchar,
        external_repo_id,
        repository_id,
        (select max(number) + 1 from pull_requests as of_all where of_all.repository_id = alike.repository_id),
        name,
        user_name,
        0,
        0,
        'work/' || %(external_id)s::varchar,
        destination,
        0,
        'open',
        now() at time zone 'utc',
        now() at time zone 'utc',
        1,
        additions,
        deletions,
        changed_files,
        0,
        0,
        %(integration_id)s::integer,
        client_id
    from alike
    where not exists (
        select from pull_requests as earlier
        where earlier.client_id = %(client_id)s and earlier.external_id = %(external_id)s::varchar
    )
    returning *
)
insert into pull_request_commits (
    external_id,
    pull_request_id,
    author_name,
    committer_name,
    message,
    authored_date,
    committed_date,
    integration_id,
    client_id
)
select
    %(external_id)s::varchar,
    id,
    user_name,
    user_name,
    'Work',
    pr_created_at - interval '5 minutes',
    pr_created_at - interval '5 minutes',
    integration_id,
    client_id
from opened
