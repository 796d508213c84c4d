-- What our roles were granted in this database on what others own: the database, its schemas, tables of the platform.
select
    r.rolname::text as role,
    case d.classid
        when 'pg_database'::regclass then 'database' when 'pg_namespace'::regclass then 'schema' else 'table'
    end as kind,
    a.object_names as object,
    pg_has_role(coalesce(b.datdba, n.nspowner, c.relowner), 'usage') as is_ours
from pg_shdepend as d
join pg_roles as r on r.oid = d.refobjid
cross join lateral pg_identify_object_as_address(d.classid, d.objid, 0) as a
left join pg_database as b on d.classid = 'pg_database'::regclass and b.oid = d.objid
left join pg_namespace as n on d.classid = 'pg_namespace'::regclass and n.oid = d.objid
left join pg_class as c on d.classid = 'pg_class'::regclass and c.oid = d.objid
where
    d.refclassid = 'pg_authid'::regclass
    and d.deptype = 'a'
    and r.rolname = any(%(roles)s)
    and (
        b.datname = current_database()
        or (
            d.dbid = (select oid from pg_database where datname = current_database())
            and coalesce(n.nspowner, c.relowner) <> (select oid from pg_roles where rolname = 'foresight_owner')
        )
    )
group by r.rolname, d.classid, a.object_names, b.datdba, n.nspowner, c.relowner
order by r.rolname, kind, object
