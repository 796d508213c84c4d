-- The tables in a client's schema.
select tablename as name
from pg_tables
where schemaname = %(schema)s
