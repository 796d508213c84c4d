-- Reviews of pull requests.
create or replace view ml.source_pull_request_reviews with (security_invoker = true) as
select
    id::bigint as id,
    client_id,
    pull_request_id::bigint as pull_request_id,
    author_login::text as author_login,
    state::text as state,
    submitted_at,
    active
from public.pull_request_reviews;
grant select on ml.source_pull_request_reviews to foresight_clients;
