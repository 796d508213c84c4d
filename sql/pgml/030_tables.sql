-- Columns, names and defaults are PostgresML's; what we add stands in side tables.
create table if not exists pgml.projects (
    id bigserial primary key,
    name text not null,
    task pgml.task not null,
    created_at timestamp without time zone not null default clock_timestamp(),
    updated_at timestamp without time zone not null default clock_timestamp()
);
create unique index if not exists projects_name_idx on pgml.projects (name);

create table if not exists pgml.snapshots (
    id bigserial primary key,
    relation_name text not null,
    y_column_name text [] not null,
    test_size real not null,
    test_sampling pgml.sampling not null,
    status text not null,
    columns jsonb,
    analysis jsonb,
    created_at timestamp without time zone not null default clock_timestamp(),
    updated_at timestamp without time zone not null default clock_timestamp(),
    materialized boolean default false
);

create table if not exists pgml.models (
    id bigserial primary key,
    project_id bigint not null constraint project_id_fk references pgml.projects (id) on delete cascade,
    -- Nullable, as PostgresML's is: a snapshot may be deleted before its models.
    snapshot_id bigint constraint snapshot_id_fk references pgml.snapshots (id) on delete set null,
    num_features integer not null,
    algorithm text not null,
    runtime pgml.runtime default 'python',
    hyperparams jsonb not null,
    status text not null,
    metrics jsonb,
    search text,
    search_params jsonb not null,
    search_args jsonb not null,
    created_at timestamp without time zone not null default clock_timestamp(),
    updated_at timestamp without time zone not null default clock_timestamp()
);
create index if not exists models_project_id_idx on pgml.models (project_id);
create index if not exists models_snapshot_id_idx on pgml.models (snapshot_id);

create table if not exists pgml.deployments (
    id bigserial primary key,
    project_id bigint not null constraint project_id_fk references pgml.projects (id) on delete cascade,
    model_id bigint not null constraint model_id_fk references pgml.models (id) on delete cascade,
    strategy pgml.strategy not null,
    created_at timestamp without time zone not null default clock_timestamp()
);
create index if not exists deployments_project_id_created_at_idx on pgml.deployments (project_id, created_at desc, id desc);
create index if not exists deployments_model_id_created_at_idx on pgml.deployments (model_id);

create table if not exists pgml.files (
    id bigserial primary key,
    model_id bigint not null constraint model_id_fk references pgml.models (id) on delete cascade,
    path text not null,
    part integer not null,
    created_at timestamp without time zone not null default clock_timestamp(),
    updated_at timestamp without time zone not null default clock_timestamp(),
    data bytea not null
);
create unique index if not exists files_model_id_path_part_idx on pgml.files (model_id, path, part);

create table if not exists pgml.logs (
    id serial primary key,
    model_id bigint references pgml.models (id) on delete cascade,
    project_id bigint references pgml.projects (id) on delete cascade,
    created_at timestamp default current_timestamp,
    logs jsonb
);

-- What a snapshot was made with beyond PostgresML's arguments: filter, time_column, seed, text_columns.
create table if not exists pgml.snapshot_options (
    snapshot_id bigint primary key references pgml.snapshots (id) on delete cascade,
    options jsonb not null
);

-- What the test rows say beyond PostgresML's metrics: per class, confusion, calibration; of a joint model per label.
create table if not exists pgml.model_reports (
    model_id bigint primary key references pgml.models (id) on delete cascade,
    report jsonb not null
);

do $$
begin
    -- Half the size of the default method, and ten times as fast.
    alter table pgml.files alter column data set compression lz4;
exception
    when feature_not_supported then
        raise notice 'this server has no lz4: models are compressed with its default method';
end
$$;

create or replace function pgml.set_updated_at() returns trigger
language plpgsql
as $$
begin
    if new is distinct from old and new.updated_at is not distinct from old.updated_at then
        new.updated_at := clock_timestamp();
    end if;
    return new;
end
$$;

create or replace trigger projects_auto_updated_at before update on pgml.projects
for each row execute function pgml.set_updated_at();
create or replace trigger snapshots_auto_updated_at before update on pgml.snapshots
for each row execute function pgml.set_updated_at();
create or replace trigger models_auto_updated_at before update on pgml.models
for each row execute function pgml.set_updated_at();
create or replace trigger files_auto_updated_at before update on pgml.files
for each row execute function pgml.set_updated_at();
