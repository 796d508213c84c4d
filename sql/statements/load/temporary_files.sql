-- Bytes that all sessions of this database have written to temporary files so far.
select temp_bytes
from pg_stat_database
where datname = current_database()
