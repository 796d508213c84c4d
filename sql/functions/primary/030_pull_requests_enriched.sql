-- The risk of rework of the platform's pull requests, beside the columns that tell which one it is (docs/decisions/0008). A
-- risk is of the pull request that has its id, and its number in the repository of that name: ids of both are given anew
-- when the platform loads its rows again.
create or replace view ml.pull_requests_enriched with (security_invoker = true) as
select
    p.id,
    p.client_id,
    p.repository_id,
    p.number,
    rework.value as ml_rework_probability,
    rework.grade as ml_risk_level,
    rework.rung as ml_rework_rung,
    rework.as_of as ml_rework_as_of,
    rework.low_80 as ml_rework_probability_low_80,
    rework.high_80 as ml_rework_probability_high_80
from public.pull_requests as p
left join public.repositories as r on r.id = p.repository_id and r.client_id = p.client_id
left join ml.pull_request_predictions as rework
    on
        rework.client_id = p.client_id
        and rework.pull_request_id = p.id
        and rework.model = 'rework'
        and (rework.key is null or rework.key = coalesce(r.full_name, r.name) || '#' || p.number::bigint);
grant select on ml.pull_requests_enriched to foresight_reader;
