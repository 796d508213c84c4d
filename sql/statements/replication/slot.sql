-- Whether a slot is read, and whether its WAL is still there.
select active, wal_status
from pg_replication_slots
where slot_name = %(slot)s
