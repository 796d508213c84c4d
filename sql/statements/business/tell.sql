-- ... column by column, in one statement.
insert into told (entity_id, entity_key, as_of, value, late, simple)
select entity_id, entity_key, as_of, value, late, simple
from unnest(
    %(entity_id)s::bigint[],
    %(entity_key)s::text[],
    %(as_of)s::timestamp[],
    %(value)s::float8[],
    %(late)s::float8[],
    %(simple)s::float8[]
) as columns (entity_id, entity_key, as_of, value, late, simple)
