-- What these roles may on the database and its schemas. A role that is not there yet has what everybody (public) has.
with grantees as (
    select rolname::text as name
    from pg_roles
    where rolname = any(%(roles)s)
    union all
    select 'public'
)

select g.name, 'database' as object, p.privilege
from grantees as g
cross join unnest(array['connect', 'temporary', 'create']) as p (privilege)
where has_database_privilege(g.name::name, current_database(), p.privilege)
union all
select g.name, n.nspname::text as object, p.privilege
from grantees as g
cross join pg_namespace as n
cross join unnest(array['usage', 'create']) as p (privilege)
where n.nspname in ('public', 'ml') and has_schema_privilege(g.name::name, n.oid, p.privilege)
