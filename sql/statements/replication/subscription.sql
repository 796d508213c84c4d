-- This database's subscription. Its connection string, which only superusers may read, is asked for by itself.
select s.subslotname::text as slot, s.subenabled as enabled, pg_has_role(s.subowner, 'usage') as is_ours
from pg_subscription as s
join pg_database as d on d.oid = s.subdbid
where s.subname = %(subscription)s and d.datname = current_database()
