-- Makes a client's role and schema on the replica; repeating it changes nothing. It does not ask ml.clients: the replica
-- is provisioned first, and the row may still be on its way.
create or replace function ml.provision_client(id integer) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    role_name text := 'foresight_client_' || id;
    schema_name text := 'ml_client_' || id;
begin
    if id is null or id < 1 then
        raise exception 'client %: an id is a positive number', id;
    end if;
    if not exists (select from pg_roles where rolname = role_name) then
        execute format('create role %I nologin', role_name);
    end if;
    if not pg_has_role(role_name, 'foresight_clients', 'member') then
        execute format('grant foresight_clients to %I', role_name);
    end if;
    if not pg_has_role(role_name, 'pgml_user', 'member') then
        execute format('grant pgml_user to %I', role_name);
    end if;
    if not pg_has_role('foresight_app', role_name, 'member') then
        execute format('grant %I to foresight_app', role_name);
    end if;
    -- The schema stays the owner's: the client makes tables in it, and neither drops it nor lets others in.
    if to_regnamespace(schema_name) is null then
        execute format('create schema %I', schema_name);
        execute format('grant usage, create on schema %I to %I', schema_name, role_name);
    end if;
    if to_regclass(format('%I.quarantine', schema_name)) is null then
        execute format(
            'create table %I.quarantine ('
            '    entity text not null check (entity in (''issue'', ''pull_request'')),'
            '    entity_id bigint not null,'
            '    check_name text not null,'
            '    reason text not null,'
            '    run_id uuid not null,'
            '    noted_at timestamptz not null default clock_timestamp(),'
            '    primary key (entity, entity_id, check_name)'
            ')',
            schema_name
        );
        execute format('grant select, insert, update, delete on %I.quarantine to %I', schema_name, role_name);
    end if;
end
$$;
revoke execute on function ml.provision_client(integer) from public;
grant execute on function ml.provision_client(integer) to foresight_fleet;
