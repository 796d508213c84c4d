select slot, active, wal_status, bytes_behind
from ml.replication_lag
order by slot
