-- How what is asked about, and what is answered, has moved: each feature lately beside the time before, as every night found it.
create table ml.drift (
    run_id uuid not null references ml.nightly_runs,
    client_id integer not null references ml.clients,
    model text not null,
    -- a feature's name, or: prediction
    name text not null,
    state text not null check (state in ('warming up', 'steady', 'drifting')),
    rows_before integer not null,
    rows_recent integer not null,
    mean_before double precision,
    mean_recent double precision,
    -- in standard deviations of the time before
    effect double precision,
    -- how likely luck moves it so far or further, by itself
    luck double precision,
    checked_at timestamptz not null default clock_timestamp(),
    primary key (run_id, model, name)
);
create index on ml.drift (client_id, model, checked_at desc);
alter table ml.drift enable row level security;
alter table ml.drift force row level security;
create policy own_rows on ml.drift to foresight_clients
using (client_id = (select ml.client_of_role())) with check (client_id = (select ml.client_of_role()));
create policy fleet_reads on ml.drift for select to foresight_fleet using (true);
grant select on ml.drift to foresight_fleet;
grant select, insert, delete on ml.drift to foresight_clients;
