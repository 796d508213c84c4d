-- Which pgml is here and which could be: PostgresML's functions are written in C, ours in PL/Python.
select
    l.lanname::text as language,
    e.extversion::text as extension,
    a.default_version::text as available,
    exists (select from pg_available_extensions where name = 'plpython3u') as has_plpython,
    coalesce((select pg_has_role(nspowner, 'usage') from pg_namespace where nspname = 'pgml'), false) as is_ours,
    exists (
        select
        from pg_roles as r
        cross join pg_class as c
        where
            r.rolname = 'pgml_user'
            and c.relname = 'projects'
            and c.relnamespace = to_regnamespace('pgml')
            and has_any_column_privilege(r.oid, c.oid, 'insert')
    ) as is_granted
from (values (1)) as one (row)
left join pg_proc as p on p.oid = to_regprocedure('pgml.version()')
left join pg_language as l on l.oid = p.prolang
left join pg_extension as e on e.extname = 'pgml'
left join pg_available_extensions as a on a.name = 'pgml'
