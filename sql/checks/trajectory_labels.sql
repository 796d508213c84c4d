-- Finished epics differ in how long they took; where all took the same, nothing can be told apart. (Too few pass: training
-- says so.)
-- severity: warn
-- model: trajectory
-- thresholds: {"min_labels": 10, "window_months": 24}
with
labels as (
    select i.work_last_completed_at - i.created as label
    from ml.source_issues as i
    where
        i.client_id = %(client_id)s::integer
        and i.active
        and i.issuetype = 'Epic'
        and i.status_to = 'Done'
        -- What is infinite cannot be subtracted.
        and i.created >= timestamp '1900-01-01'
        and i.work_last_completed_at > i.created
        and i.work_last_completed_at < %(as_of)s::timestamp
        and i.work_last_completed_at >= %(as_of)s::timestamp - make_interval(months => %(window_months)s::integer)
)
select
    count(*) < %(min_labels)s::integer or min(label) < max(label) as passed,
    count(*) || ' finished epics' || coalesce(' that took ' || min(label) || ' to ' || max(label), '') as observed,
    'different times from ' || %(min_labels)s::integer || ' epics on' as threshold
from labels
