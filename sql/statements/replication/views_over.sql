-- Views of ours that read a copy: PostgreSQL changes no column's type under them.
select distinct v.relname::text as name
from pg_depend as d
join pg_rewrite as r on r.oid = d.objid
join pg_class as v on v.oid = r.ev_class and v.relkind = 'v' and v.relnamespace = 'ml'::regnamespace
where
    d.classid = 'pg_rewrite'::regclass
    and d.refclassid = 'pg_class'::regclass
    and d.refobjid = (select oid from pg_class where relname = %(table)s and relnamespace = 'public'::regnamespace)
