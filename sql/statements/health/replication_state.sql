-- How this replica's subscription stands; no row where there is none.
select subscription, enabled, working, tables, tables_ready, apply_errors, sync_errors
from ml.replication_state
