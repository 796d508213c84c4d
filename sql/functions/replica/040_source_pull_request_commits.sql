-- Commits of pull requests.
create or replace view ml.source_pull_request_commits with (security_invoker = true) as
select
    id::bigint as id,
    client_id,
    pull_request_id::bigint as pull_request_id,
    author_name::text as author_name,
    message::text as message,
    authored_date as authored_at,
    committed_date as committed_at,
    active
from public.pull_request_commits;
grant select on ml.source_pull_request_commits to foresight_clients;
