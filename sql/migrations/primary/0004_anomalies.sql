-- Answers of a night that are unusual, with the sentence that says why. The sentences name rows: the fleet does not see them.
create table ml.anomalies (
    run_id uuid not null references ml.nightly_runs,
    client_id integer not null references ml.clients,
    model text not null,
    -- the name of the statement in sql/anomalies
    kind text not null,
    entity_id bigint not null,
    severity text not null check (severity in ('low', 'medium', 'high')),
    sentence text not null,
    noted_at timestamptz not null default clock_timestamp(),
    primary key (run_id, model, kind, entity_id)
);
create index on ml.anomalies (client_id, model, noted_at desc);
alter table ml.anomalies enable row level security;
alter table ml.anomalies force row level security;
create policy own_rows on ml.anomalies to foresight_clients
using (client_id = (select ml.client_of_role())) with check (client_id = (select ml.client_of_role()));
grant select, insert, delete on ml.anomalies to foresight_clients;
