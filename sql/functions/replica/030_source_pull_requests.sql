-- Pull requests, `key` as people name one. Installations call what became of one `status` or `state`; a date of merging is surer than both.
create or replace view ml.source_pull_requests with (security_invoker = true) as
select
    p.id::bigint as id,
    p.client_id,
    p.number,
    p.name::text as title,
    p.user_name::text as author,
    p.body::text as body,
    p.repository_id,
    coalesce(r.full_name, r.name)::text as repository,
    p.issue_id::bigint as issue_id,
    case when p.merged_at is not null then 'merged' else lower(coalesce(p.status, p.state)) end as status,
    p.pr_created_at as created,
    p.first_review_at,
    p.merged_at,
    p.closed_at,
    p.commit_count::float8 as commit_count,
    p.additions::float8 as additions,
    p.deletions::float8 as deletions,
    p.changed_files::float8 as changed_files,
    p.reviewers::float8 as reviewers,
    p.review_cycles::float8 as review_cycles,
    p.rework_commit_count::float8 as rework_commit_count,
    p.active,
    p.last_updated_at,
    coalesce(r.full_name, r.name) || '#' || p.number::bigint as key
from public.pull_requests as p
left join public.repositories as r on r.id = p.repository_id and r.client_id = p.client_id;
grant select on ml.source_pull_requests to foresight_clients;
