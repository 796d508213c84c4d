-- An issue does not move before it is created: one of the two dates is wrong, and with it the issue's whole course.
-- severity: quarantine
-- entity: issue
-- thresholds: {"tolerance_minutes": 60}
select
    'issue' as entity,
    i.id as entity_id,
    'moved ' || min(l.changed_at) || ', before its creation ' || i.created as reason
from ml.source_issues as i
inner join ml.source_issue_changelogs as l on l.client_id = i.client_id and l.issue_id = i.id and l.active
where
    i.client_id = %(client_id)s::integer
    and i.active
    -- Other dates are found by issue_clock; arithmetic on them would raise.
    and i.created between timestamp '1900-01-01' and timestamp '2200-01-01'
group by i.id, i.created
having min(l.changed_at) < i.created - make_interval(mins => %(tolerance_minutes)s::integer)
