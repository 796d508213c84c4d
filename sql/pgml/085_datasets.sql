-- As who installed pgml, because it creates tables in schema pgml: pgml.iris and the like, which everybody may read.
create or replace function pgml.load_dataset(
    source text, subset text default null, "limit" bigint default null, kwargs jsonb default '{}'
)
returns table (table_name text, rows bigint)
language plpython3u
volatile parallel unsafe
security definer
set search_path = pg_catalog, pg_temp
as $$
from pgml_engine.datasets import load_dataset
from pgml_engine.session import Session
return load_dataset(Session.of(plpy, GD), source, subset, limit)
$$;
