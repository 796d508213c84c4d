-- Which pgml is here and which could be: asked of the catalogues, since PostgresML lets nobody into its schema. Its functions are
-- written in C, ours in PL/Python, which its control file says too.
select
    l.lanname::text as language,
    e.extversion::text as extension,
    v.version::text as available,
    coalesce('plpython3u' = any(v.requires), false) as available_is_ours,
    coalesce(v.trusted, false) as available_is_trusted,
    exists (select from pg_available_extensions where name = 'plpython3u') as has_plpython,
    -- A login that may not read that setting still sees what the library has defined.
    exists (
        select
        from pg_settings
        where
            name ~ '^pgml\.'
            or (name = 'shared_preload_libraries' and setting ~ '(^|[/\s,"])pgml(\.so)?([\s,"]|$)')
    ) as is_preloaded,
    coalesce(pg_has_role(t.relowner, 'usage'), false) as is_ours,
    coalesce(g.is_granted, false) as is_granted
from (values (1)) as one (row)
left join pg_namespace as n on n.nspname = 'pgml'
left join pg_proc as p on p.pronamespace = n.oid and p.proname = 'version' and p.pronargs = 0
left join pg_language as l on l.oid = p.prolang
left join pg_class as t on t.relnamespace = n.oid and t.relname = 'projects'
left join pg_extension as e on e.extname = 'pgml'
left join pg_available_extensions as a on a.name = 'pgml'
left join pg_available_extension_versions as v on v.name = a.name and v.version = a.default_version
-- The gateway may do its work, and the clients have no other way.
left join lateral (
    select
        has_schema_privilege(gateway.oid, n.oid, 'usage')
        and not exists (
            select
            from pg_roles as clients
            where clients.rolname = 'pgml_user' and has_schema_privilege(clients.oid, n.oid, 'usage')
        )
        and bool_and(has_table_privilege(gateway.oid, c.oid, w.privilege)) as is_granted
    from pg_roles as gateway
    cross join (
        values
            ('projects', 'insert'), ('projects', 'delete'),
            ('snapshots', 'insert'), ('snapshots', 'update'), ('snapshots', 'delete'),
            ('models', 'insert'), ('models', 'update'), ('models', 'delete'),
            ('files', 'insert'), ('deployments', 'insert'), ('deployed_models', 'select')
    ) as w (relation, privilege)
    join pg_class as c on c.relnamespace = n.oid and c.relname = w.relation
    where gateway.rolname = 'foresight_pgml'
    group by gateway.oid
) as g on true
