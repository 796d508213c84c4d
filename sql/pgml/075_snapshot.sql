-- The table for a copy of rows stands in schema pgml, where only the installer may create. It is made empty; its owner fills it,
-- with what its owner may read. Only in the transaction that made the snapshot: nobody has a table made for somebody else.
create or replace function pgml._materialize(snapshot_id bigint, names text [], types text [])
returns void
language plpgsql
volatile strict parallel unsafe
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    owned_by name;
    listed text;
begin
    select o.owner into owned_by
    from pgml.snapshot_owners as o
    inner join pgml.snapshots as s on o.snapshot_id = s.id
    where s.id = _materialize.snapshot_id and s.materialized and s.created_at >= now()::timestamp without time zone;
    if owned_by is null then
        raise exception 'snapshot % is not one that this transaction has made', _materialize.snapshot_id
            using errcode = 'insufficient_privilege';
    end if;
    if exists (select from unnest(types) as t (name) where ltrim(t.name, '_') not in (
        'bool', 'int2', 'int4', 'int8', 'float4', 'float8', 'numeric', 'text', 'varchar', 'bpchar', 'date', 'timestamp', 'timestamptz'
    )) then
        raise exception 'a snapshot cannot hold a column of the types %', types using errcode = 'datatype_mismatch';
    end if;
    select string_agg(format('%I pg_catalog.%I', c.name, c.type), ', ' order by c.place) into listed
    from unnest(names, types) with ordinality as c (name, type, place);
    execute format('create table pgml.%I (%s)', 'snapshot_' || _materialize.snapshot_id, listed);
    -- Twice: a grant to somebody else still shows nothing.
    execute format('alter table pgml.%I enable row level security', 'snapshot_' || _materialize.snapshot_id);
    execute format(
        'create policy own on pgml.%I using (exists (select from pgml.snapshot_owners as o where o.snapshot_id = %s))',
        'snapshot_' || _materialize.snapshot_id, _materialize.snapshot_id
    );
    execute format('revoke all on pgml.%I from public, pgml_user', 'snapshot_' || _materialize.snapshot_id);
    execute format('grant select, insert on pgml.%I to %I', 'snapshot_' || _materialize.snapshot_id, owned_by);
end
$$;

-- A copy goes with its snapshot.
create or replace function pgml.drop_snapshot_table() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if old.materialized then
        execute format('drop table if exists pgml.%I', 'snapshot_' || old.id);
    end if;
    return null;
end
$$;

create or replace trigger snapshots_drop_table after delete on pgml.snapshots
for each row execute function pgml.drop_snapshot_table();

create or replace function pgml.snapshot(
    relation_name text,
    y_column_name text,
    test_size real default 0.25,
    test_sampling pgml.sampling default 'stratified',
    preprocess jsonb default '{}'
)
returns table (relation text, y_column_name text)
language plpython3u
volatile strict parallel unsafe
set max_parallel_workers_per_gather = 0
set synchronize_seqscans = off
as $$
from pgml_engine.session import Session
from pgml_engine.snapshot import snapshot
return snapshot(Session.of(plpy, GD), relation_name, y_column_name, test_size, test_sampling, preprocess)
$$;
