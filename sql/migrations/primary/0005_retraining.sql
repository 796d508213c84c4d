-- Why a model was trained, or was not although its rows had changed; and trainings that the watch has asked for.
alter table ml.training_runs
-- first | asked | changed | lost | labels | age | drift
add column trigger text,
add column why text,
drop constraint training_runs_status_check,
add constraint training_runs_status_check check (
    status in (
        'running', 'trained', 'unchanged', 'not_due', 'blocked', 'too_little_data', 'failed', 'interrupted'
    )
);

create table ml.retrain_requests (
    request_id uuid primary key,
    client_id integer not null references ml.clients,
    model text not null,
    -- the run that has asked, and its moment
    run_id uuid not null references ml.nightly_runs,
    as_of timestamp not null,
    -- names of features and errors, no rows
    reason text not null,
    error_before double precision not null,
    error_recent double precision not null,
    luck double precision not null,
    asked_at timestamptz not null default clock_timestamp(),
    -- a run was started for it
    taken_at timestamptz,
    unique (run_id, model)
);
create index on ml.retrain_requests (client_id, model, as_of desc);
create index on ml.retrain_requests (asked_at) where taken_at is null;
alter table ml.retrain_requests enable row level security;
alter table ml.retrain_requests force row level security;
create policy own_rows on ml.retrain_requests to foresight_clients
using (client_id = (select ml.client_of_role())) with check (client_id = (select ml.client_of_role()));
create policy fleet_reads on ml.retrain_requests for select to foresight_fleet using (true);
create policy fleet_takes on ml.retrain_requests for update to foresight_fleet using (true) with check (true);
grant select, insert, update on ml.retrain_requests to foresight_clients;
grant select, update on ml.retrain_requests to foresight_fleet;
