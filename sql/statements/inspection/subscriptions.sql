-- Subscriptions of this database. The connection string is for superusers and is not asked for.
select
    s.subname::text as name,
    pg_get_userbyid(s.subowner)::text as owner,
    pg_has_role(s.subowner, 'usage') as is_ours,
    s.subslotname::text as slot,
    s.subenabled as enabled
from pg_subscription as s
join pg_database as d on d.oid = s.subdbid and d.datname = current_database()
order by s.subname
