-- Every table of the subscription, whether it is through its first copy, and how often a copy has failed so far.
select
    n.nspname || '.' || c.relname as name,
    r.srsubstate = 'r' as ready,
    coalesce(e.sync_error_count, 0) as sync_errors,
    coalesce(e.apply_error_count, 0) as apply_errors
from pg_subscription as s
join pg_database as d on d.oid = s.subdbid and d.datname = current_database()
join pg_subscription_rel as r on r.srsubid = s.oid
join pg_class as c on c.oid = r.srrelid
join pg_namespace as n on n.oid = c.relnamespace
left join pg_stat_subscription_stats as e on e.subid = s.oid
where s.subname = %(subscription)s
