-- The logical slots of this database: one per replica, and those of others.
select slot_name::text as name, active, wal_status
from pg_replication_slots
where slot_type = 'logical' and database = current_database()
order by slot_name
