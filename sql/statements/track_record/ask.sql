-- Column by column, in one statement.
insert into asked (position, entity_id, as_of)
select
    row_number() over (),
    columns.entity_id,
    columns.as_of
from unnest(%(entity_id)s::bigint[], %(as_of)s::timestamp[]) as columns (entity_id, as_of)
