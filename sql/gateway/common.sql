-- The gateway: what Foresight asks of pgml, the same on both engines. On our own engine its functions run as their caller, whose
-- rows pgml's policies keep apart. PostgresML knows neither owners nor policies: there they run as foresight_pgml, whom the clients
-- reach by no other way, and the checks below are what keeps clients apart.

-- The client that asks. In a function that runs as its owner `current_user` is that owner; the role that the session has taken on is
-- in the setting `role`, which only a member of that role can set.
create or replace function ml_pgml.client() returns integer
language sql stable parallel unsafe
as $$
select substring(
    case current_setting('role') when 'none' then session_user::text else current_setting('role') end
    from '^foresight_client_([0-9]+)$'
)::integer
$$;

-- Whether a project is of the client that asks: its name ends with the client's number (include/foresight/names.py).
create or replace function ml_pgml.is_own(project text) returns boolean
language sql stable parallel unsafe
as $$
select coalesce(substring(project from '_client_([0-9]+)_v[0-9]+$') = ml_pgml.client()::text, false)
$$;

-- A model of the client, and the snapshot that it was trained on; nothing where there is none, or it is of another client.
create or replace function ml_pgml.model(asked bigint)
returns table (
    project text,
    status text,
    metrics jsonb,
    trained_at timestamp,
    snapshot_id bigint,
    relation_name text,
    label text,
    snapshot_at timestamp
)
language sql stable parallel unsafe
as $$
select p.name, m.status, m.metrics, m.created_at, s.id, s.relation_name, s.y_column_name[1], s.created_at
from pgml.models as m
inner join pgml.projects as p on p.id = m.project_id
left join pgml.snapshots as s on s.id = m.snapshot_id
where m.id = asked and ml_pgml.is_own(p.name)
$$;

-- The same words for a model of another client and for none: nobody learns which models there are.
create or replace function ml_pgml.check_model(asked bigint) returns void
language plpgsql stable parallel unsafe
as $$
begin
    if not exists (select from ml_pgml.model(asked)) then
        raise exception 'model % does not exist', asked using errcode = 'undefined_object';
    end if;
end
$$;

create or replace function ml_pgml.deployed(project text) returns bigint
language sql stable parallel unsafe
as $$
select d.id from pgml.deployed_models as d where d.name = project and ml_pgml.is_own(project)
$$;

create or replace function ml_pgml.deploy(asked bigint) returns void
language plpgsql volatile parallel unsafe
as $$
begin
    perform ml_pgml.check_model(asked);
    perform pgml.deploy(asked);
end
$$;

-- Models of the client, with their files and deployments, and the snapshots that no other model has: a snapshot holds statistics of
-- the client's columns. Returns how many models.
create or replace function ml_pgml.drop_models(ids bigint []) returns bigint
language plpgsql volatile parallel unsafe
as $$
declare
    gone bigint;
    left_over bigint [];
begin
    with dropped as (
        delete from pgml.models as m
        using pgml.projects as p
        where p.id = m.project_id and m.id = any(ids) and ml_pgml.is_own(p.name)
        returning m.snapshot_id
    )

    select count(*), array_agg(d.snapshot_id) into gone, left_over
    from dropped as d;
    delete from pgml.snapshots as s
    where s.id = any(left_over) and not exists (select from pgml.models as m where m.snapshot_id = s.id);
    return gone;
end
$$;

-- The models of these projects but for `keep` and the newest few of each. Returns how many.
create or replace function ml_pgml.forget(projects text [], keep bigint [], newest integer) returns bigint
language sql volatile parallel unsafe
as $$
select ml_pgml.drop_models(array(
    select ranked.id
    from (
        select
            m.id,
            row_number() over (partition by m.project_id order by m.id desc) as age
        from pgml.models as m
        inner join pgml.projects as p on p.id = m.project_id
        where p.name = any(projects)
    ) as ranked
    where ranked.age > newest and ranked.id <> all(keep)
))
$$;

-- All that was learned from a client's rows: for administrators (docs/runbook.md). Returns how many projects. A snapshot without a
-- model, as earlier versions have left them, still says in whose schema its rows were.
create or replace function ml_pgml.erase(erased integer) returns bigint
language plpgsql volatile parallel unsafe
as $$
declare
    gone bigint;
    snapshots bigint [];
begin
    snapshots := array(
        select m.snapshot_id
        from pgml.models as m
        inner join pgml.projects as p on p.id = m.project_id
        where substring(p.name from '_client_([0-9]+)_v[0-9]+$') = erased::text
        union
        select s.id from pgml.snapshots as s where starts_with(s.relation_name, format('ml_client_%s.', erased))
    );
    delete from pgml.projects as p
    where substring(p.name from '_client_([0-9]+)_v[0-9]+$') = erased::text;
    get diagnostics gone = row_count;
    delete from pgml.snapshots as s
    where s.id = any(snapshots) and not exists (select from pgml.models as m where m.snapshot_id = s.id);
    return gone;
end
$$;

create or replace function ml_pgml.version() returns text
language sql stable parallel unsafe
as $$
select pgml.version()
$$;
