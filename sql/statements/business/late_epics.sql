-- Epics whose P85 date is over or that were done before it, and how many were not done by that date. What is gone from
-- the platform counts neither way. A date beyond a century is no date.
with
epics as (
    select
        told.as_of + make_interval(secs => least(told.late, 3155760000)) as p85_date,
        case when i.work_last_completed_at <= %(as_of)s::timestamp then i.work_last_completed_at end as done_at
    from told
    join ml.source_issues as i on i.client_id = %(client_id)s and i.id = told.entity_id
    where
        i.active
        and (told.entity_key is null or told.entity_key = i.key)
        and (i.work_last_completed_at is null or i.work_last_completed_at >= told.as_of)
)
select
    count(*) as rows,
    count(*) filter (where done_at is null or done_at > p85_date) as late
from epics
where
    done_at is not null
    or p85_date <= %(as_of)s::timestamp
