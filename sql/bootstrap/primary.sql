-- Roles and the schema of the primary. Idempotent; needs a superuser once (BYPASSRLS and REPLICATION cannot be given by anybody else).
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
            ('foresight_log_writer', 'nologin'),
            ('foresight_reader', 'nologin'),
            ('foresight_app', 'login noinherit'),
            ('foresight_replication', 'login replication bypassrls')
        ) as roles (name, attributes)
    loop
        if not exists (select from pg_roles where rolname = wanted.name) then
            execute format('create role %I %s', wanted.name, wanted.attributes);
        end if;
    end loop;
end
$$;

-- The enrichment views are security_invoker: their reader must read the platform's tables. Membership, not grants on the
-- tables: those would alter what the platform owns (docs/decisions/0002).
grant pg_read_all_data to foresight_replication, foresight_reader;
alter role foresight_replication set row_security = off;

grant foresight_fleet, foresight_log_writer, foresight_reader to foresight_app;
-- PostgreSQL 16 asks for the admin option where 15 is content with CREATEROLE.
grant foresight_clients to foresight_owner with admin option;
grant foresight_owner to current_user;

create schema if not exists ml authorization foresight_owner;
grant usage on schema ml to foresight_clients, foresight_fleet, foresight_log_writer, foresight_reader;

do $$
begin
    execute format('grant connect, temporary on database %I to foresight_app, foresight_clients', current_database());
    execute format('grant connect on database %I to foresight_replication', current_database());
end
$$;
