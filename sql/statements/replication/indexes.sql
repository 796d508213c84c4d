-- The names of the indexes that the copies have.
select indexname::text as name
from pg_indexes
where schemaname = 'public' and tablename = any(%(tables)s)
