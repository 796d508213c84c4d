-- Stories, tasks and bugs are estimated; a client without any has types of other names, which `issuetype_mappings` may map
-- to these three.
-- severity: warn
-- model: complexity
-- thresholds: {"min_rows": 20}
-- The view has no ids of types, hence the tables.
with
counted as (
    select
        count(*) as rows,
        count(*) filter (where i.issuetype in ('Story', 'Task', 'Bug')) as estimated
    from ml.source_issues as i
    where i.client_id = %(client_id)s::integer and i.active and i.issuetype is not null
),
usual as (
    select string_agg(t.id || ' (' || t.issues || ')', ', ' order by t.issues desc, t.id) as ids
    from (
        select
            i.issuetype_id as id,
            count(*) as issues
        from public.issues as i
        where i.client_id = %(client_id)s::integer and i.active and i.issuetype_id is not null
        group by i.issuetype_id
        order by
            issues desc,
            id
        limit 5
    ) as t
)
select
    c.estimated > 0 or c.rows < %(min_rows)s::integer as passed,
    c.estimated || ' of ' || c.rows || ' issues are of a type that is estimated'
    || coalesce(', by id in issuetypes: ' || usual.ids, '') as observed,
    'at least 1, from ' || %(min_rows)s::integer || ' issues on' as threshold
from counted as c
cross join usual
