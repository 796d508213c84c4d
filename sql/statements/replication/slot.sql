select active, wal_status
from pg_replication_slots
where slot_name = %(slot)s
