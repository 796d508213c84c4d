-- Copies of the primary's ranges, filled by replication.
create table ml.ranges (
    client_id integer,
    model text,
    answered_by uuid,
    rule jsonb,
    levels jsonb,
    held jsonb,
    rows_learned integer,
    as_of timestamp,
    run_id uuid,
    learned_at timestamptz,
    primary key (client_id, model, answered_by)
);
alter table ml.ranges enable row level security;
alter table ml.ranges force row level security;
create policy own_rows on ml.ranges for select to foresight_clients using (client_id = (select ml.client_of_role()));
grant select on ml.ranges to foresight_clients;
