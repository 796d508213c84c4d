-- New pull requests come in as they usually do; far fewer mean that the import may have stopped half-way.
-- severity: warn
-- thresholds: {"days": 30, "usual_windows": 6, "min_usual": 10, "min_share": 0.25}
with
asked as (
    select
        %(as_of)s::timestamp as as_of,
        %(days)s::integer as days,
        %(usual_windows)s::integer as usual_windows,
        %(min_usual)s::float8 as min_usual,
        %(min_share)s::float8 as min_share
),
-- Number 0 are the last days, the others are as long and lie before it.
counted as (
    select
        n.number,
        count(r.id) as rows
    from asked
    cross join generate_series(0, asked.usual_windows) as n (number)
    left join ml.source_pull_requests as r
        on
            r.client_id = %(client_id)s::integer
            and r.active
            and r.created <= asked.as_of - make_interval(days => n.number * asked.days)
            and r.created > asked.as_of - make_interval(days => (n.number + 1) * asked.days)
    group by n.number
),
compared as (
    select
        max(rows) filter (where number = 0) as recent,
        percentile_cont(0.5) within group (order by rows) filter (where number > 0) as usual
    from counted
)
select
    c.usual is null or c.usual < asked.min_usual or c.recent >= asked.min_share * c.usual as passed,
    c.recent || ' new pull requests in the last ' || asked.days || ' days, usually ' || coalesce(c.usual::text, 'none')
        as observed,
    'at least a share of ' || asked.min_share || ' of the usual, where that is ' || asked.min_usual || ' or more'
        as threshold
from compared as c
cross join asked
