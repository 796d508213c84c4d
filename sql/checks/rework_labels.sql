-- Some merged pull requests needed rework and some did not; without either, nothing can be told apart. (Too few pass:
-- training says so.)
-- severity: warn
-- model: rework
-- thresholds: {"min_labels": 40, "window_months": 12, "max_review_cycles": 2, "max_rework_commits": 3}
with
labels as (
    select p.review_cycles > %(max_review_cycles)s::float8 or p.rework_commit_count > %(max_rework_commits)s::float8 as label
    from ml.source_pull_requests as p
    where
        p.client_id = %(client_id)s::integer
        and p.active
        and p.review_cycles is not null
        and p.rework_commit_count is not null
        and p.commit_count > 0
        and p.changed_files > 0
        and p.merged_at >= p.created
        and p.merged_at < %(as_of)s::timestamp
        and p.merged_at >= %(as_of)s::timestamp - make_interval(months => %(window_months)s::integer)
)
select
    count(*) < %(min_labels)s::integer or (bool_or(label) and not bool_and(label)) as passed,
    count(*) filter (where label) || ' of ' || count(*) || ' merged pull requests needed rework' as observed,
    'some did and some did not, from ' || %(min_labels)s::integer || ' pull requests on' as threshold
from labels
