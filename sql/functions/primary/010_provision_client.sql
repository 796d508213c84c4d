-- Makes the role of a client on the primary and marks the registry row; repeating it changes nothing.
create or replace function ml.provision_client(id integer) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    role_name text := 'foresight_client_' || id;
begin
    if not exists (select from ml.clients where client_id = id) then
        raise exception 'client % is not in ml.clients: register it first', id;
    end if;
    if not exists (select from pg_roles where rolname = role_name) then
        execute format('create role %I nologin', role_name);
    end if;
    execute format('grant foresight_clients to %I', role_name);
    execute format('grant %I to foresight_app', role_name);
    update ml.clients set provisioned_at = clock_timestamp() where client_id = id and provisioned_at is null;
end
$$;
revoke execute on function ml.provision_client(integer) from public;
grant execute on function ml.provision_client(integer) to foresight_fleet;
