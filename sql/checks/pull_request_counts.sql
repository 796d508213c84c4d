-- Nearly all merged pull requests have their review cycles and rework commits counted; the others teach nothing.
-- severity: warn
-- model: rework
-- thresholds: {"max_share": 0.2}
with
counted as (
    select
        count(*) as rows,
        count(*) filter (where r.review_cycles is null or r.rework_commit_count is null) as missing
    from ml.source_pull_requests as r
    where r.client_id = %(client_id)s::integer and r.active and r.merged_at <= %(as_of)s::timestamp
)
select
    missing <= %(max_share)s::float8 * rows as passed,
    missing || ' of ' || rows || ' merged pull requests are not counted' as observed,
    'at most a share of ' || %(max_share)s::float8 as threshold
from counted
