-- Our roles on this server, the owner last. One that another database still uses keeps what it has.
select
    r.rolname::text as name,
    pg_has_role(r.oid, 'usage') as is_ours,
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
            and d.dbid = here.oid
            and not pg_has_role(coalesce(c.relowner, n.nspowner), 'usage')
    ) as is_revocable
from pg_roles as r
cross join (select oid from pg_database where datname = current_database()) as here
where
    r.rolname ~ '^foresight_(owner|app|clients|fleet|log_writer|pgml|reader|replication|client_[0-9]+)$'
    and not exists (
        select
        from pg_shdepend as d
        where
            d.refclassid = 'pg_authid'::regclass
            and d.refobjid = r.oid
            and d.dbid <> here.oid
            and not (d.dbid = 0 and d.classid = 'pg_database'::regclass and d.objid = here.oid)
            -- From PostgreSQL 16 on also whoever has granted a membership; that is of our roles, and goes with them.
            and not (d.dbid = 0 and d.classid = 'pg_auth_members'::regclass)
    )
order by r.rolname = 'foresight_owner', r.rolname
