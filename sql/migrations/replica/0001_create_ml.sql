-- Copies of the primary's registry, champions and heartbeat, filled by replication; nothing else writes them.
-- No defaults, checks or references: the primary has them, and a copy that is stricter than its source stops.

create table ml.clients (
    client_id integer primary key,
    slug text,
    name text,
    active boolean,
    ml_predictions_enabled boolean,
    schedule text,
    time_zone text,
    replica_conn_id text,
    clock text,
    overrides jsonb,
    alert_emails text[],
    alert_webhook_conn_id text,
    provisioned_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz
);

create table ml.champions (
    client_id integer,
    model text,
    version bigint,
    rung text,
    model_uuid uuid,
    model_name text,
    replica_conn_id text,
    pgml_model_id bigint,
    feature_hash text,
    promoted_at timestamptz,
    primary key (client_id, model)
);

create table ml.heartbeat (
    id boolean primary key,
    beat_at timestamptz
);

create table ml.api_keys (
    key_id text primary key,
    name text,
    digest bytea,
    clients integer[],
    any_of boolean,
    created_at timestamptz,
    expires_at timestamptz,
    revoked_at timestamptz
);

create table ml.client_people (
    client_id integer,
    principal text,
    kind text,
    primary key (client_id, kind, principal)
);

-- Which state of a set of files (functions, pgml) this database has.
create table ml.applied (
    part text primary key,
    digest text not null,
    applied_at timestamptz not null default clock_timestamp()
);

-- The client whose role asks; null for every other role.
create function ml.client_of_role() returns integer
language sql stable parallel safe
as $$ select substring(current_user::text from '^foresight_client_([0-9]+)$')::integer $$;

do $$
declare
    name text;
begin
    foreach name in array array['clients', 'champions']
    loop
        execute format('alter table ml.%I enable row level security', name);
        execute format('alter table ml.%I force row level security', name);
        execute format(
            'create policy own_rows on ml.%I for select to foresight_clients using (client_id = (select ml.client_of_role()))',
            name
        );
        execute format('create policy fleet_reads on ml.%I for select to foresight_fleet using (true)', name);
        execute format('grant select on ml.%I to foresight_clients, foresight_fleet', name);
    end loop;
end
$$;
grant select on ml.heartbeat to foresight_clients, foresight_fleet;

-- Who may ask is the fleet's affair alone.
do $$
declare
    name text;
begin
    foreach name in array array['api_keys', 'client_people']
    loop
        execute format('alter table ml.%I enable row level security', name);
        execute format('alter table ml.%I force row level security', name);
        execute format('create policy fleet_reads on ml.%I for select to foresight_fleet using (true)', name);
        execute format('grant select on ml.%I to foresight_fleet', name);
    end loop;
end
$$;
