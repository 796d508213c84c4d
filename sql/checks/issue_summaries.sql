-- Nearly all issues have a summary that says something; an estimate has little else to read.
-- severity: warn
-- model: complexity
-- thresholds: {"max_share": 0.2, "min_length": 11}
with
counted as (
    select
        count(*) as rows,
        count(*) filter (where coalesce(length(btrim(r.summary)), 0) < %(min_length)s::integer) as missing
    from ml.source_issues as r
    where r.client_id = %(client_id)s::integer and r.active
)
select
    missing <= %(max_share)s::float8 * rows as passed,
    missing || ' of ' || rows || ' issues have no usable summary' as observed,
    'at most a share of ' || %(max_share)s::float8 as threshold
from counted
