-- The schemas that Foresight has made in this database.
select nspname::text as name
from pg_namespace
where nspname in ('ml', 'ml_pgml') or nspname ~ '^ml_client_[0-9]+$'
order by nspname
