-- This database's subscription, with its connection string: for a superuser only.
select s.subconninfo as conninfo, s.subslotname::text as slot, s.subenabled as enabled
from pg_subscription as s
join pg_database as d on d.oid = s.subdbid
where s.subname = %(subscription)s and d.datname = current_database()
