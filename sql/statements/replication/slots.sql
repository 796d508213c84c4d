-- The slots of this primary's replicas.
select slot, active, wal_status, bytes_behind, bytes_kept
from ml.replication_lag
order by slot
