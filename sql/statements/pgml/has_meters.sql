-- Whether this engine can tell what a session has used: asked of the catalogue, for PostgresML lets no client into its schema.
-- (The version would tell too, but brings libraries into the session, and what that costs has to be counted.)
select exists (
    select
    from pg_proc as p
    join pg_namespace as n on n.oid = p.pronamespace
    where n.nspname = 'pgml' and p.proname = 'memory_peak'
) as there
