-- The release of PostgresML whose API this is, and behind the plus sign our own: a client tells the two engines apart by it.
create or replace function pgml.version()
returns text
language plpython3u
stable parallel unsafe
as $$
import pgml_engine
return f"{pgml_engine.POSTGRESML_VERSION}+pgml_engine.{pgml_engine.__version__}"
$$;
