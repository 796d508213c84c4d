-- Nearly all issues have a status that is mapped to a step; of the others nobody can tell whether they are done.
-- severity: warn
-- thresholds: {"max_share": 0.2}
with
counted as (
    select
        count(*) as rows,
        count(*) filter (where r.status_to is null) as missing
    from ml.source_issues as r
    where r.client_id = %(client_id)s::integer and r.active
)
select
    missing <= %(max_share)s::float8 * rows as passed,
    missing || ' of ' || rows || ' issues have no mapped status' as observed,
    'at most a share of ' || %(max_share)s::float8 as threshold
from counted
