-- The slots of this database's replicas: who stays behind, and how much WAL is kept for it. A status other than
-- 'reserved' or 'extended' means that the replica has to be copied anew.
create or replace view ml.replication_lag with (security_invoker = true) as
select
    slot_name::text as slot,
    active,
    wal_status,
    pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint as bytes_behind,
    pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint as bytes_kept,
    safe_wal_size as bytes_left
from pg_replication_slots
where
    slot_type = 'logical'
    and database = current_database()
    and slot_name like 'foresight\_%';
grant select on ml.replication_lag to foresight_fleet;
