-- The slots of this primary's replicas.
select slot, active, wal_status, bytes_behind
from ml.replication_lag
order by slot
