select indexname::text as name
from pg_indexes
where schemaname = 'public' and tablename = any(%(tables)s)
