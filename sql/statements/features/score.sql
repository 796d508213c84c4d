-- The rows that are to be predicted, each with its key, of one moment with its features; those that cannot be are left in,
-- with the reason.
create temporary table scored on commit drop as
select
    built.*,
    source.key as entity_key
from (
    {features}
) as built
left join {source} as source on source.id = built.entity_id and source.client_id = built.client_id
