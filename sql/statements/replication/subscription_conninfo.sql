-- Where the subscription looks for the primary: for a superuser only.
select s.subconninfo as conninfo
from pg_subscription as s
join pg_database as d on d.oid = s.subdbid
where s.subname = %(subscription)s and d.datname = current_database()
