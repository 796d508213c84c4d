-- Alerts wait in an outbox until a channel takes them, and the callbacks of the fleet's DAGs learn why a run failed.
alter table ml.alerts
add column body text not null default '';

-- One row per alert and channel. An alert from before this table has none: it was sent.
create table ml.alert_deliveries (
    alert_id bigint not null references ml.alerts on delete cascade,
    channel text not null check (channel in ('email', 'webhook')),
    attempts integer not null default 0,
    -- while an attempt is under way: when it is given up for lost
    next_attempt_at timestamptz not null default clock_timestamp(),
    last_error text,
    delivered_at timestamptz,
    -- stale from then on, and not attempted again
    expires_at timestamptz not null,
    primary key (alert_id, channel)
);
create index on ml.alert_deliveries (expires_at) where delivered_at is null;

-- How the tasks of the fleet's DAGs ended. Callbacks of a DAG know only that its run failed.
create table ml.fleet_tasks (
    dag_id text not null,
    dag_run_id text not null,
    task_id text not null,
    -- findings: failed on purpose, after an alert of its own for each finding
    state text not null check (state in ('clean', 'findings', 'failed')),
    error text,
    ended_at timestamptz not null default clock_timestamp(),
    primary key (dag_id, dag_run_id, task_id)
);

do $$
declare
    name text;
begin
    foreach name in array array['alert_deliveries', 'fleet_tasks']
    loop
        execute format('alter table ml.%I enable row level security', name);
        execute format('alter table ml.%I force row level security', name);
        execute format('create policy fleet_all on ml.%I to foresight_fleet using (true) with check (true)', name);
        execute format('grant select, insert, update on ml.%I to foresight_fleet', name);
    end loop;
end
$$;
grant delete on ml.fleet_tasks to foresight_fleet;

-- Since when the client's present schedule applies: no run was due before. null: since it was provisioned.
alter table ml.clients
add column scheduled_since timestamptz;

create function ml.note_scheduled_since() returns trigger
language plpgsql
as $$
begin
    new.scheduled_since := clock_timestamp();
    return new;
end
$$;
create trigger scheduled_since before update on ml.clients
for each row when (
    (new.active and not old.active) or (new.schedule, new.time_zone) is distinct from (old.schedule, old.time_zone)
)
execute function ml.note_scheduled_since();
