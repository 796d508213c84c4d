-- script only: an extension has its schema from its control file
do $$
begin
    if exists (select from pg_extension where extname = 'pgml') then
        raise exception 'the extension pgml is installed in this database: use it, or drop it first'
            using errcode = 'duplicate_object';
    end if;
end
$$;

create extension if not exists plpython3u;
create schema if not exists pgml;
-- script and extension
do $$
begin
    -- A role is cluster-wide: another database may have made it.
    if not exists (select from pg_roles where rolname = 'pgml_user') then
        create role pgml_user nologin;
    end if;
end
$$;

comment on schema pgml is 'Machine learning inside the database: our implementation of the PostgresML SQL API.';

revoke all on schema pgml from public;
grant usage on schema pgml to pgml_user;
