-- A slot that nobody reads keeps WAL on the primary until the disk is full.
select pg_drop_replication_slot(slot_name)
from pg_replication_slots
where slot_name = {slot}
