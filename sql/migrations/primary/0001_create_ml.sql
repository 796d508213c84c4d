-- The registry, the runs, the models in service, and what was predicted.

create table ml.clients (
    client_id integer primary key,
    slug text not null unique check (slug ~ '^[a-z0-9][a-z0-9_]{0,62}$'),
    name text not null,
    active boolean not null default true,
    ml_predictions_enabled boolean not null default true,
    -- null: the fleet's default, staggered over the clients
    schedule text,
    time_zone text not null default 'UTC',
    replica_conn_id text not null default 'foresight_replica',
    -- wall: as_of is the run's moment; data: as_of is the last timestamp of the client's own rows (loaded exports)
    clock text not null default 'wall' check (clock in ('wall', 'data')),
    -- {"complexity": {"settings": {"window_months": 24}, "bounds": {"mae": 2.5}}}
    overrides jsonb not null default '{}',
    alert_emails text[] not null default '{}',
    alert_webhook_conn_id text,
    provisioned_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp()
);

create table ml.heartbeat (
    id boolean primary key default true check (id),
    beat_at timestamptz not null default clock_timestamp()
);
insert into ml.heartbeat default values;

-- Which state of a set of files (functions) this database has.
create table ml.applied (
    part text primary key,
    digest text not null,
    applied_at timestamptz not null default clock_timestamp()
);

create table ml.nightly_runs (
    run_id uuid primary key,
    client_id integer not null references ml.clients,
    dag_run_id text not null,
    as_of timestamp not null,
    request jsonb not null default '{}',
    -- running -> prepared -> success | failed; running -> unchanged
    state text not null default 'running' check (state in ('running', 'prepared', 'unchanged', 'success', 'failed')),
    source_fingerprint text,
    phases jsonb not null default '{}',
    predictions_written jsonb not null default '{}',
    failed_tasks text[] not null default '{}',
    summary text,
    code_version text not null,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    unique (client_id, dag_run_id)
);
create index on ml.nightly_runs (client_id, started_at desc);

create table ml.validation_results (
    run_id uuid not null references ml.nightly_runs,
    client_id integer not null references ml.clients,
    check_name text not null,
    -- null: the check concerns all models of the client
    model text,
    severity text not null check (severity in ('block', 'warn', 'quarantine')),
    passed boolean not null,
    observed text,
    threshold text,
    reason text not null,
    rows_affected integer not null default 0,
    created_at timestamptz not null default clock_timestamp(),
    unique nulls not distinct (run_id, check_name, model)
);

create table ml.training_runs (
    -- names the model everywhere outside pgml
    model_uuid uuid primary key,
    run_id uuid not null references ml.nightly_runs,
    client_id integer not null references ml.clients,
    model text not null,
    model_name text not null,
    spec_digest text not null,
    status text not null check (status in ('running', 'trained', 'unchanged', 'blocked', 'too_little_data', 'failed', 'interrupted')),
    reason text,
    rung text,
    ladder jsonb not null default '[]',
    replica_conn_id text not null,
    pgml_model_id bigint,
    pgml_version text,
    training_table text,
    fingerprint text,
    feature_names text[],
    feature_hash text,
    rows_train integer,
    rows_test integer,
    rows_removed jsonb not null default '{}',
    cut_at timestamp,
    metrics jsonb,
    seconds double precision,
    cpu_seconds double precision,
    code_version text not null,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    unique (run_id, model)
);
create index on ml.training_runs (client_id, model, started_at desc);

create table ml.gate_verdicts (
    verdict_id uuid primary key,
    run_id uuid not null references ml.nightly_runs,
    model_uuid uuid not null unique references ml.training_runs,
    client_id integer not null references ml.clients,
    model text not null,
    passed boolean not null,
    decision text not null check (decision in ('promote', 'keep', 'demote')),
    -- what champions.version was when this was judged: the compare-and-set of the promotion
    judged_version bigint not null,
    criteria jsonb not null,
    scores jsonb not null,
    rows_judged integer not null,
    sentence text not null,
    created_at timestamptz not null default clock_timestamp()
);
create index on ml.gate_verdicts (client_id, model, created_at desc);

create table ml.champions (
    client_id integer not null references ml.clients,
    model text not null,
    version bigint not null,
    -- boosted | linear | recent
    rung text not null,
    -- null: the rung needs no model
    model_uuid uuid,
    model_name text not null,
    replica_conn_id text not null,
    pgml_model_id bigint,
    feature_hash text,
    promoted_at timestamptz not null default clock_timestamp(),
    primary key (client_id, model),
    check ((model_uuid is null) = (pgml_model_id is null))
);

create table ml.promotion_ledger (
    client_id integer not null references ml.clients,
    model text not null,
    version bigint not null,
    from_rung text,
    from_model_uuid uuid,
    to_rung text not null,
    to_model_uuid uuid,
    verdict_id uuid references ml.gate_verdicts,
    actor text not null,
    reason text not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (client_id, model, version)
);

create table ml.prediction_log (
    prediction_uuid uuid primary key,
    client_id integer not null references ml.clients,
    model text not null,
    model_name text not null,
    model_uuid uuid,
    rung text not null,
    entity text not null check (entity in ('issue', 'pull_request')),
    entity_id bigint not null,
    prediction_value double precision not null,
    input_features jsonb not null,
    feature_hash text not null,
    response_time_ms integer not null,
    source text not null check (source in ('api', 'nightly')),
    run_id uuid,
    as_of timestamp not null,
    created_at timestamptz not null default clock_timestamp(),
    active boolean not null default true
);
create index on ml.prediction_log (client_id, model, entity_id, as_of);

create table ml.issue_predictions (
    client_id integer not null references ml.clients,
    model text not null,
    issue_id bigint not null,
    -- as the platform's people know it
    key text,
    prediction_uuid uuid not null,
    value double precision not null,
    -- how sure: the words of the model's spec (low, medium, high)
    grade text not null,
    rung text not null,
    model_uuid uuid,
    as_of timestamp not null,
    predicted_at timestamptz not null default clock_timestamp(),
    primary key (client_id, model, issue_id)
);

create table ml.pull_request_predictions (
    client_id integer not null references ml.clients,
    model text not null,
    pull_request_id bigint not null,
    -- repository#number
    key text,
    prediction_uuid uuid not null,
    value double precision not null,
    grade text not null,
    rung text not null,
    model_uuid uuid,
    as_of timestamp not null,
    predicted_at timestamptz not null default clock_timestamp(),
    primary key (client_id, model, pull_request_id)
);

create table ml.model_health (
    client_id integer not null references ml.clients,
    model text not null,
    run_id uuid not null references ml.nightly_runs,
    status text not null check (status in ('healthy', 'degraded', 'unhealthy')),
    reason text not null,
    rung text,
    model_uuid uuid,
    checked_at timestamptz not null default clock_timestamp(),
    primary key (run_id, model)
);

create table ml.alerts (
    alert_id bigint generated always as identity primary key,
    -- null: concerns the fleet
    client_id integer references ml.clients,
    cause text not null,
    subject text not null,
    created_at timestamptz not null default clock_timestamp(),
    unique nulls not distinct (client_id, cause)
);

-- Rows of one client only, whoever asks as that client's role. Policies compare with a sub-select so that it is evaluated once.
create function ml.client_of_role() returns integer
language sql stable parallel safe
as $$ select substring(current_user::text from '^foresight_client_([0-9]+)$')::integer $$;

do $$
declare
    name text;
begin
    foreach name in array array[
        'clients', 'nightly_runs', 'validation_results', 'training_runs', 'gate_verdicts', 'champions', 'promotion_ledger',
        'prediction_log', 'issue_predictions', 'pull_request_predictions', 'model_health', 'alerts'
    ]
    loop
        execute format('alter table ml.%I enable row level security', name);
        execute format('alter table ml.%I force row level security', name);
        execute format(
            'create policy own_rows on ml.%I to foresight_clients using (client_id = (select ml.client_of_role()))'
            ' with check (client_id = (select ml.client_of_role()))',
            name
        );
    end loop;
    -- Fleet: what runs when, and how it went; no feature, label or prediction.
    foreach name in array array[
        'clients', 'nightly_runs', 'validation_results', 'training_runs', 'gate_verdicts', 'champions', 'promotion_ledger',
        'model_health', 'alerts'
    ]
    loop
        execute format('create policy fleet_reads on ml.%I for select to foresight_fleet using (true)', name);
        execute format('grant select on ml.%I to foresight_fleet', name);
    end loop;
    foreach name in array array['clients', 'nightly_runs', 'alerts']
    loop
        execute format('create policy fleet_inserts on ml.%I for insert to foresight_fleet with check (true)', name);
        execute format('create policy fleet_updates on ml.%I for update to foresight_fleet using (true) with check (true)', name);
        execute format('grant insert, update on ml.%I to foresight_fleet', name);
    end loop;
    foreach name in array array['issue_predictions', 'pull_request_predictions']
    loop
        execute format('create policy reader_reads on ml.%I for select to foresight_reader using (true)', name);
        execute format('grant select on ml.%I to foresight_reader', name);
    end loop;
end
$$;

create policy log_writer_inserts on ml.prediction_log for insert to foresight_log_writer with check (true);
grant insert on ml.prediction_log to foresight_log_writer;
grant select, update on ml.heartbeat to foresight_fleet;

grant select on ml.clients to foresight_clients;
grant select, insert, update on
    ml.nightly_runs, ml.training_runs, ml.champions, ml.issue_predictions, ml.pull_request_predictions, ml.model_health,
    ml.validation_results, ml.gate_verdicts
to foresight_clients;
grant select, insert on ml.promotion_ledger, ml.prediction_log, ml.alerts to foresight_clients;
grant delete on ml.validation_results to foresight_clients;

-- No grant allows it; this stops the owner's own hand as well.
create function ml.refuse_change() returns trigger
language plpgsql
as $$
begin
    raise exception '%.% is append-only: % refused', tg_table_schema, tg_table_name, lower(tg_op);
end
$$;
create trigger append_only before update or delete or truncate on ml.promotion_ledger
for each statement execute function ml.refuse_change();

-- Keys of services, and which people act for which client. Both are published: a request is checked on the replica.
create table ml.api_keys (
    key_id text primary key,
    name text not null,
    -- sha256 of the secret
    digest bytea not null,
    clients integer[] not null check (cardinality(clients) > 0),
    -- whether a request may name one of the clients
    any_of boolean not null default false,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz
);
create table ml.client_people (
    client_id integer not null references ml.clients,
    -- an Airflow user's name, or the name of a role
    principal text not null,
    kind text not null check (kind in ('user', 'role')),
    primary key (client_id, kind, principal)
);
do $$
declare
    name text;
begin
    foreach name in array array['api_keys', 'client_people']
    loop
        execute format('alter table ml.%I enable row level security', name);
        execute format('alter table ml.%I force row level security', name);
        execute format('create policy fleet_all on ml.%I to foresight_fleet using (true) with check (true)', name);
        execute format('grant select, insert, update, delete on ml.%I to foresight_fleet', name);
    end loop;
end
$$;

-- The gate over time (docs/gate.md). `looked`: the new model was compared with what serves, at this level of luck, so the
-- rows known by then are not new to the next look.
alter table ml.gate_verdicts
add column looked boolean not null default false,
add column level double precision;
-- A rollback: the version whose model serves again, and the moment of the data up to which a person has decided.
alter table ml.promotion_ledger
add column restores bigint,
add column as_of timestamp,
add check ((restores is null) = (as_of is null));
