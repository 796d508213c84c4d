-- Column by column, in one statement.
insert into asked (position, entity_id, entity_key, as_of)
select
    row_number() over (),
    columns.entity_id,
    columns.entity_key,
    columns.as_of
from unnest(%(entity_id)s::bigint[], %(entity_key)s::text[], %(as_of)s::timestamp[])
    as columns (entity_id, entity_key, as_of)
