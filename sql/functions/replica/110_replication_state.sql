-- How this replica stands: whether its subscription works, how many tables are through their first copy, and how old the
-- last heartbeat is (which tells of a standstill only while somebody beats).
create or replace view ml.replication_state with (security_invoker = true) as
select
    s.subname::text as subscription,
    s.subenabled as enabled,
    exists (select from pg_stat_subscription as w where w.subid = s.oid and w.relid is null and w.pid is not null) as working,
    tables.total as tables,
    tables.ready as tables_ready,
    errors.apply_error_count as apply_errors,
    errors.sync_error_count as sync_errors,
    extract(epoch from clock_timestamp() - heartbeat.beat_at)::float8 as heartbeat_age_seconds
from pg_subscription as s
left join pg_stat_subscription_stats as errors on errors.subid = s.oid
left join lateral (
    select count(*) as total, count(*) filter (where r.srsubstate = 'r') as ready
    from pg_subscription_rel as r
    where r.srsubid = s.oid
) as tables on true
left join ml.heartbeat as heartbeat on true
where
    s.subdbid = (select d.oid from pg_database as d where d.datname = current_database())
    and s.subname = 'foresight';
grant select on ml.replication_state to foresight_fleet;
