-- Estimated issues differ in their points; where all have the same, nothing can be told apart. (Too few pass: training says
-- so.)
-- severity: warn
-- model: complexity
-- thresholds: {"min_labels": 20, "window_months": 18, "max_points": 21}
with
labels as (
    select i.story_points as label
    from ml.source_issues as i
    where
        i.client_id = %(client_id)s::integer
        and i.active
        and i.issuetype in ('Story', 'Task', 'Bug')
        and i.story_points > 0
        and i.story_points <= %(max_points)s::float8
        and i.created < %(as_of)s::timestamp
        and i.created >= %(as_of)s::timestamp - make_interval(months => %(window_months)s::integer)
)
select
    count(*) < %(min_labels)s::integer or min(label) < max(label) as passed,
    count(*) || ' estimated issues' || coalesce(' of ' || min(label) || ' to ' || max(label) || ' points', '') as observed,
    'different points from ' || %(min_labels)s::integer || ' issues on' as threshold
from labels
