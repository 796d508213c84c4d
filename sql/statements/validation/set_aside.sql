-- Sets aside what a check finds, an entity once; returns how many, what they are, and the first three.
with
found as (
    select
        f.entity,
        f.entity_id,
        string_agg(f.reason, '; ' order by f.reason) as reason
    from (
{check}
    ) as f
    group by f.entity, f.entity_id
),
placed as (
    insert into quarantine (entity, entity_id, check_name, reason, run_id)
    select
        entity,
        entity_id,
        %(check_name)s,
        reason,
        %(run_id)s
    from found
    returning entity, entity_id, reason
)
select
    count(*)::integer as rows,
    array_agg(distinct entity) as entities,
    (array_agg(entity_id || ' (' || reason || ')' order by entity_id))[1:3] as first
from placed
