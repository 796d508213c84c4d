-- An issue is created in the life of the platform, not in the future, and completed after that.
-- severity: quarantine
-- entity: issue
-- thresholds: {"earliest": "1995-01-01", "days_ahead": 1}
select
    'issue' as entity,
    i.id as entity_id,
    e.reason
from (
    select
        i.*,
        -- A row that was written after as_of (which may lie in the past) may have later dates. The year 2200 keeps an absurd
        -- one from leaving the range of timestamps.
        greatest(%(as_of)s::timestamp, least(i.last_updated_at, timestamp '2200-01-01'))
        + make_interval(days => %(days_ahead)s::integer) as latest
    from ml.source_issues as i
    where i.client_id = %(client_id)s::integer and i.active
) as i
cross join lateral (
    select
        case
            when i.created < %(earliest)s::timestamp then 'created ' || i.created || ', before ' || %(earliest)s::timestamp
            when i.created > i.latest then 'created ' || i.created || ', in the future'
            when i.work_last_completed_at < i.created
                then 'completed ' || i.work_last_completed_at || ', before its creation ' || i.created
            when i.work_last_completed_at > i.latest then 'completed ' || i.work_last_completed_at || ', in the future'
        end as reason
) as e
where e.reason is not null
