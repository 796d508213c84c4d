-- How sure answers are (docs/ranges.md): learned every night from what was answered and what came of it.

create table ml.ranges (
    client_id integer not null references ml.clients,
    model text not null,
    -- whose answers they are of: a model's uuid; of the simple rung, the uuid of noughts
    answered_by uuid not null,
    -- what ml.ranged takes
    rule jsonb not null,
    -- by range, the share that the rule aims at on the rows that it is learned from: it follows what earlier ones have held
    levels jsonb not null,
    -- by range, the share of the rows since the last rule that this one held; `rows`: how many
    held jsonb,
    rows_learned integer not null,
    as_of timestamp not null,
    run_id uuid not null references ml.nightly_runs,
    learned_at timestamptz not null default clock_timestamp(),
    primary key (client_id, model, answered_by)
);
alter table ml.ranges enable row level security;
alter table ml.ranges force row level security;
create policy own_rows on ml.ranges to foresight_clients
using (client_id = (select ml.client_of_role())) with check (client_id = (select ml.client_of_role()));
grant select, insert, update, delete on ml.ranges to foresight_clients;

-- What was said of an answer beside its value: low_50, high_50, low_80, high_80, p85; of a probability, `raw` is the model's.
alter table ml.prediction_log add column ranges jsonb;
alter table ml.issue_predictions
add column low_50 double precision,
add column high_50 double precision,
add column low_80 double precision,
add column high_80 double precision,
add column p85 double precision;
alter table ml.pull_request_predictions
add column low_50 double precision,
add column high_50 double precision,
add column low_80 double precision,
add column high_80 double precision,
add column p85 double precision;
