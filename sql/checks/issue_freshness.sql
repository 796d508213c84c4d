-- Something has happened to the issues lately; when their newest date is old, the import may have stopped.
-- severity: warn
-- thresholds: {"max_days": 7}
with
asked as (
    select
        %(as_of)s::timestamp as as_of,
        %(max_days)s::integer as max_days
),
-- Dates after as_of are errors, or belong to a later day than the one that is asked for.
latest as (
    select max(d.moment) as moment
    from ml.source_issues as r
    cross join asked
    cross join lateral (
        values (r.created), (r.updated), (r.work_last_completed_at), (r.last_updated_at)
    ) as d (moment)
    where r.client_id = %(client_id)s::integer and r.active and d.moment <= asked.as_of
)
select
    l.moment is null or l.moment >= asked.as_of - make_interval(days => asked.max_days) as passed,
    coalesce('latest ' || l.moment, 'no issues') as observed,
    'at most ' || asked.max_days || ' days before ' || asked.as_of as threshold
from latest as l
cross join asked
