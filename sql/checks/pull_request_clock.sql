-- A pull request is opened in the life of the platform, not in the future, and merged or closed after that.
-- severity: quarantine
-- entity: pull_request
-- thresholds: {"earliest": "1995-01-01", "days_ahead": 1}
select
    'pull_request' as entity,
    p.id as entity_id,
    e.reason
from (
    select
        p.*,
        -- A row that was written after as_of (which may lie in the past) may have later dates. The year 2200 keeps an absurd
        -- one from leaving the range of timestamps.
        greatest(%(as_of)s::timestamp, least(p.last_updated_at, timestamp '2200-01-01'))
        + make_interval(days => %(days_ahead)s::integer) as latest
    from ml.source_pull_requests as p
    where p.client_id = %(client_id)s::integer and p.active
) as p
cross join lateral (
    select
        case
            when p.created < %(earliest)s::timestamp then 'opened ' || p.created || ', before ' || %(earliest)s::timestamp
            when p.created > p.latest then 'opened ' || p.created || ', in the future'
            when p.merged_at < p.created then 'merged ' || p.merged_at || ', before its opening ' || p.created
            when p.closed_at < p.created then 'closed ' || p.closed_at || ', before its opening ' || p.created
            when p.merged_at > p.latest then 'merged ' || p.merged_at || ', in the future'
        end as reason
) as e
where e.reason is not null
