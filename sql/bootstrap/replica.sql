-- Roles and schemas of the ML replica. Idempotent; needs a superuser once.
do $$
declare
    wanted record;
begin
    for wanted in
        select *
        from (values
            ('foresight_owner', 'nologin createrole bypassrls'),
            ('foresight_clients', 'nologin'),
            ('foresight_fleet', 'nologin'),
            ('foresight_app', 'login noinherit'),
            ('pgml_user', 'nologin')
        ) as roles (name, attributes)
    loop
        if not exists (select from pg_roles where rolname = wanted.name) then
            execute format('create role %I %s', wanted.name, wanted.attributes);
        end if;
    end loop;
end
$$;

grant foresight_fleet to foresight_app;
grant foresight_clients, pgml_user to foresight_owner with admin option;
grant foresight_owner to current_user;

create schema if not exists ml authorization foresight_owner;
grant usage on schema ml to foresight_clients, foresight_fleet;
-- The copies of the platform's tables are made by the migrations.
grant usage, create on schema public to foresight_owner;
grant usage on schema public to foresight_clients;

do $$
begin
    execute format('grant create on database %I to foresight_owner', current_database());
    execute format('grant connect, temporary on database %I to foresight_app, foresight_clients', current_database());
end
$$;
