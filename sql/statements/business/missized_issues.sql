-- Issues whose first estimate is more than one step away from the points that they were given, by the estimate that was
-- served and by the simple rung's. A step is a value that the client has given to at least one issue in a hundred; an
-- estimate counts as the step that is nearest by ratio.
with
given as (
    select
        i.id,
        i.key,
        i.story_points as points
    from ml.source_issues as i
    where
        i.client_id = %(client_id)s
        and i.active
        and i.story_points > 0
        and i.created < %(as_of)s::timestamp
),
used as (
    select
        points,
        count(*) as issues
    from given
    group by points
),
steps as (
    select
        points,
        lead(points) over (order by points) as next
    from used
    where issues >= (select 0.01 * sum(issues) from used)
),
borders as (
    select
        coalesce(array_agg(sqrt(points * next) order by points) filter (where next is not null), '{{}}') as between,
        array_agg(points order by points) as points
    from steps
),
placed as (
    select
        width_bucket(given.points, borders.between) as given,
        width_bucket(told.value, borders.between) as served,
        width_bucket(told.simple, borders.between) as simple
    from told
    join given on given.id = told.entity_id and (told.entity_key is null or told.entity_key = given.key)
    cross join borders
)
select
    count(*) as rows,
    count(*) filter (where abs(served - given) > 1) as missized,
    count(*) filter (where abs(simple - given) > 1) as missized_simply,
    (select points from borders) as steps
from placed
