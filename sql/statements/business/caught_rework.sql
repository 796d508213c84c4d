-- How much of the rework was among the riskiest tenth by first prediction, as served and by the simple rung. Of pull
-- requests with the risk at which the tenth ends, as many count as have room, each with its share.
with
merged as (
    select
        told.value,
        told.simple,
        (p.review_cycles > %(max_review_cycles)s or p.rework_commit_count > %(max_rework_commits)s)::integer as bad
    from told
    join ml.source_pull_requests as p on p.client_id = %(client_id)s and p.id = told.entity_id
    where
        p.active
        and (told.entity_key is null or told.entity_key = p.key)
        and p.merged_at >= told.as_of
        and p.merged_at <= %(as_of)s::timestamp
        and (p.review_cycles is not null or p.rework_commit_count is not null)
),
ranked as (
    select
        coalesce(bad, 0) as bad,
        rank() over (order by value desc) - 1 as before_served,
        count(*) over (partition by value) as alike_served,
        rank() over (order by simple desc) - 1 as before_simple,
        count(*) over (partition by simple) as alike_simple,
        0.1 * count(*) over () as room
    from merged
)
select
    count(*) as rows,
    coalesce(sum(bad), 0) as bad,
    coalesce(sum(bad * least(1, greatest(0, room - before_served) / alike_served)), 0)::float8 as caught,
    coalesce(sum(bad * least(1, greatest(0, room - before_simple) / alike_simple)), 0)::float8 as caught_simply
from ranked
