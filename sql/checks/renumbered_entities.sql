-- What was predicted still has its id; where many ids are of other keys, the platform has given ids anew, and what was
-- predicted before counts for nothing.
-- severity: warn
-- thresholds: {"max_share": 0.05, "min_rows": 3}
-- A few keys change when issues move between projects.
with
predicted as (
    select
        entity,
        entity_id,
        entity_key
    from jsonb_to_recordset(%(predicted)s::jsonb) as rows (entity text, entity_id bigint, entity_key text)
),
compared as (
    select (i.key = p.entity_key) is not true as other
    from predicted as p
    inner join ml.source_issues as i on i.id = p.entity_id and i.client_id = %(client_id)s::integer
    where p.entity = 'issue'
    union all
    select (r.key = p.entity_key) is not true as other
    from predicted as p
    inner join ml.source_pull_requests as r on r.id = p.entity_id and r.client_id = %(client_id)s::integer
    where p.entity = 'pull_request'
),
counted as (
    select
        count(*) as rows,
        count(*) filter (where other) as others
    from compared
)
select
    c.others < %(min_rows)s::integer or c.others <= %(max_share)s::float8 * c.rows as passed,
    c.others || ' of ' || c.rows || ' predicted ids are of another key than when they were predicted' as observed,
    'at most a share of ' || %(max_share)s::float8 as threshold
from counted as c
