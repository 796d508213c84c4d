-- Epics are forecast; a client that has none, but issues of other types on their level or above, names them otherwise, and
-- `issuetype_mappings` may map that name to Epic.
-- severity: warn
-- model: trajectory
-- thresholds: {"min_rows": 3}
with
counted as (
    select
        count(*) filter (where i.issuetype = 'Epic') as epics,
        count(*) filter (where i.hierarchy_level >= 1 and i.issuetype <> 'Epic') as others
    from ml.source_issues as i
    where i.client_id = %(client_id)s::integer and i.active
)
select
    c.epics > 0 or c.others < %(min_rows)s::integer as passed,
    c.epics || ' epics, ' || c.others || ' issues of other types on the level of epics or above' as observed,
    'at least 1 epic, where ' || %(min_rows)s::integer || ' or more are of such types' as threshold
from counted as c
