select subscription, enabled, working, tables, tables_ready, apply_errors, sync_errors
from ml.replication_state
