-- What new issues usually have they have lately too; a column that is suddenly empty is no longer imported.
-- severity: warn
-- thresholds: {"days": 30, "before_days": 180, "min_rows": 20, "max_rise": 0.3}
with
asked as (
    select
        %(as_of)s::timestamp - make_interval(days => %(days)s::integer) as lately,
        %(as_of)s::timestamp - make_interval(days => %(days)s::integer + %(before_days)s::integer) as earliest,
        %(min_rows)s::bigint as min_rows
),
shares as (
    select
        columns.name,
        count(*) filter (where r.created > asked.lately) as recent,
        count(*) filter (where r.created <= asked.lately) as before,
        avg(columns.missing::integer) filter (where r.created > asked.lately) as share_recent,
        avg(columns.missing::integer) filter (where r.created <= asked.lately) as share_before
    from ml.source_issues as r
    cross join asked
    -- What is there from the first day on. Points, an assignee and a status that is mapped come later, or are other checks'.
    cross join lateral (
        values
        ('summary', nullif(trim(r.summary), '') is null),
        ('description', nullif(trim(r.description), '') is null),
        ('issuetype', r.issuetype is null),
        ('priority', r.priority is null)
    ) as columns (name, missing)
    where
        r.client_id = %(client_id)s::integer
        and r.active
        and r.created > asked.earliest
        and r.created <= %(as_of)s::timestamp
    group by columns.name
),
worst as (
    select
        s.name,
        s.share_recent,
        s.share_before
    from shares as s
    cross join asked
    where least(s.recent, s.before) >= asked.min_rows
    order by
        s.share_recent - s.share_before desc,
        s.name
    limit 1
)
select
    w.name is null or w.share_recent - w.share_before <= %(max_rise)s::float8 as passed,
    coalesce(
        w.name || ' is empty in ' || round(100 * w.share_recent) || ' %% of the new issues, before in '
        || round(100 * w.share_before) || ' %%',
        'too few issues to compare'
    ) as observed,
    'a rise of at most ' || %(max_rise)s::float8 as threshold
from (values (true)) as always (one)
left join worst as w on true
