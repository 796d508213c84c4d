-- New issues are of types that were there before; many of a type that was not mean that types were renamed or that the import reads another field.
-- severity: warn
-- thresholds: {"days": 30, "before_days": 180, "min_rows": 20, "max_share": 0.2}
with
asked as (
    select
        %(as_of)s::timestamp - make_interval(days => %(days)s::integer) as lately,
        %(as_of)s::timestamp - make_interval(days => %(days)s::integer + %(before_days)s::integer) as earliest,
        %(min_rows)s::bigint as min_rows
),
types as (
    select
        r.issuetype,
        count(*) filter (where r.created > asked.lately) as recent,
        count(*) filter (where r.created <= asked.lately) as before
    from ml.source_issues as r
    cross join asked
    where
        r.client_id = %(client_id)s::integer
        and r.active
        and r.issuetype is not null
        and r.created > asked.earliest
        and r.created <= %(as_of)s::timestamp
    group by r.issuetype
),
counted as (
    select
        coalesce(sum(recent), 0) as recent,
        coalesce(sum(before), 0) as before,
        coalesce(sum(recent) filter (where before = 0), 0) as unknown
    from types
)
select
    least(c.recent, c.before) < asked.min_rows or c.unknown <= %(max_share)s::float8 * c.recent as passed,
    c.unknown || ' of ' || c.recent || ' new issues are of a type that had none before' as observed,
    'at most a share of ' || %(max_share)s::float8 as threshold
from counted as c
cross join asked
