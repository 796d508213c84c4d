-- Our roles on this server, the owner last, and what outside this database uses each of them. Roles belong to the whole
-- server: an installation in another database logs in with some that have no grant there, so the use of its owner counts
-- as one of all.
with here as (
    select oid
    from pg_database
    where datname = current_database()
),

used as (
    -- Ownership, grants and policies inside another database.
    select d.refobjid as role_id, 'database ' || b.datname as used_by
    from pg_shdepend as d
    join pg_database as b on b.oid = d.dbid
    where d.refclassid = 'pg_authid'::regclass and b.oid <> (select oid from here)
    union
    -- Of what belongs to the whole server: databases, tablespaces. From PostgreSQL 16 on also whoever has granted a
    -- membership; that is of our roles, and goes with them.
    select d.refobjid, pg_describe_object(d.classid, d.objid, 0)
    from pg_shdepend as d
    where
        d.refclassid = 'pg_authid'::regclass
        and d.dbid = 0
        and d.classid <> 'pg_auth_members'::regclass
        and (d.classid, d.objid) <> ('pg_database'::regclass, (select oid from here))
    union
    -- A role's settings in another database; no dependency is recorded for these.
    select s.setrole, 'database ' || b.datname
    from pg_db_role_setting as s
    join pg_database as b on b.oid = s.setdatabase
    where b.oid <> (select oid from here)
)

select
    r.rolname::text as name,
    pg_has_role(r.oid, 'usage') as is_ours,
    array(
        select distinct u.used_by
        from used as u
        where u.role_id in (r.oid, (select o.oid from pg_roles as o where o.rolname = 'foresight_owner'))
        order by u.used_by
    ) as used_by,
    -- What the owner of another's object has granted, as PostgresML's, is that owner's to take back.
    not exists (
        select
        from pg_shdepend as d
        left join pg_class as c on d.classid = 'pg_class'::regclass and c.oid = d.objid
        left join pg_namespace as n on d.classid = 'pg_namespace'::regclass and n.oid = d.objid
        where
            d.refclassid = 'pg_authid'::regclass
            and d.refobjid = r.oid
            and d.deptype = 'a'
            and d.dbid = (select oid from here)
            and not pg_has_role(coalesce(c.relowner, n.nspowner), 'usage')
    ) as is_revocable
from pg_roles as r
where r.rolname ~ '^foresight_(owner|app|clients|fleet|log_writer|pgml|reader|replication|client_[0-9]+)$'
order by r.rolname = 'foresight_owner', r.rolname
