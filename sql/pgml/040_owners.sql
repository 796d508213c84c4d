-- A project, and all that hangs on it, belongs to the role that made it. Other roles neither see nor change it; a superuser
-- and a role with BYPASSRLS see all. The functions run as their caller, so these policies are what separates clients: also
-- of two roles that take turns in one session, whose loaded models are asked for here before each use.
create table if not exists pgml.project_owners (
    project_id bigint primary key references pgml.projects (id) on delete cascade,
    owner name not null default current_user
);
create table if not exists pgml.snapshot_owners (
    snapshot_id bigint primary key references pgml.snapshots (id) on delete cascade,
    owner name not null default current_user
);

-- Triggers run as the caller, and the policies below take no other owner than the caller. A row that is not yet committed
-- cannot be claimed by somebody else: the foreign key does not see it.
create or replace function pgml.record_project_owner() returns trigger
language plpgsql
as $$
begin
    insert into pgml.project_owners (project_id) values (new.id);
    return null;
end
$$;

create or replace function pgml.record_snapshot_owner() returns trigger
language plpgsql
as $$
begin
    insert into pgml.snapshot_owners (snapshot_id) values (new.id);
    return null;
end
$$;

create or replace trigger projects_record_owner after insert on pgml.projects
for each row execute function pgml.record_project_owner();
create or replace trigger snapshots_record_owner after insert on pgml.snapshots
for each row execute function pgml.record_snapshot_owner();

-- What has no owner (restored without its side tables, or older than those) becomes the installer's: a role could record
-- itself as the owner otherwise.
insert into pgml.project_owners (project_id)
select p.id
from pgml.projects as p
where not exists (select from pgml.project_owners as o where o.project_id = p.id);

insert into pgml.snapshot_owners (snapshot_id)
select s.id
from pgml.snapshots as s
where not exists (select from pgml.snapshot_owners as o where o.snapshot_id = s.id);

do $$
declare
    secured regclass;
    old record;
begin
    foreach secured in array array[
        'pgml.project_owners', 'pgml.snapshot_owners', 'pgml.projects', 'pgml.snapshots', 'pgml.models', 'pgml.deployments',
        'pgml.files', 'pgml.logs', 'pgml.snapshot_options', 'pgml.model_reports'
    ]::regclass[]
    loop
        execute format('alter table %s enable row level security', secured);
        for old in select polname from pg_policy where polrelid = secured loop
            execute format('drop policy %I on %s', old.polname, secured);
        end loop;
    end loop;
end
$$;

create policy own on pgml.project_owners using (owner = (select current_user)) with check (owner = (select current_user));
create policy own on pgml.snapshot_owners using (owner = (select current_user)) with check (owner = (select current_user));

-- Anybody may make a project or a snapshot; it is theirs by the trigger.
create policy make on pgml.projects for insert with check (true);
create policy see on pgml.projects for select
using (exists (select from pgml.project_owners as o where o.project_id = projects.id));
create policy remove on pgml.projects for delete
using (exists (select from pgml.project_owners as o where o.project_id = projects.id));

create policy make on pgml.snapshots for insert with check (true);
create policy see on pgml.snapshots for select
using (exists (select from pgml.snapshot_owners as o where o.snapshot_id = snapshots.id));
create policy remove on pgml.snapshots for delete
using (exists (select from pgml.snapshot_owners as o where o.snapshot_id = snapshots.id));

create policy describe on pgml.snapshots for update
using (exists (select from pgml.snapshot_owners as o where o.snapshot_id = snapshots.id));

create policy own on pgml.snapshot_options
using (exists (select from pgml.snapshot_owners as o where o.snapshot_id = snapshot_options.snapshot_id))
with check (exists (select from pgml.snapshot_owners as o where o.snapshot_id = snapshot_options.snapshot_id));

create policy own on pgml.models
using (exists (select from pgml.project_owners as o where o.project_id = models.project_id))
with check (
    exists (select from pgml.project_owners as o where o.project_id = models.project_id)
    and exists (select from pgml.snapshot_owners as o where o.snapshot_id = models.snapshot_id)
);

-- The model is of the same project: a foreign key alone would let a project answer with a foreign model.
create policy own on pgml.deployments
using (exists (select from pgml.project_owners as o where o.project_id = deployments.project_id))
with check (
    exists (select from pgml.models as m where m.id = deployments.model_id and m.project_id = deployments.project_id)
);

create policy own on pgml.files
using (exists (select from pgml.models as m where m.id = files.model_id))
with check (exists (select from pgml.models as m where m.id = files.model_id));

create policy own on pgml.model_reports
using (exists (select from pgml.models as m where m.id = model_reports.model_id))
with check (exists (select from pgml.models as m where m.id = model_reports.model_id));

create policy own on pgml.logs
using (exists (select from pgml.project_owners as o where o.project_id = logs.project_id))
with check (exists (select from pgml.project_owners as o where o.project_id = logs.project_id));

-- By name and not "all tables": a snapshot's copy stands in this schema too, and is its owner's alone.
revoke all on pgml.projects, pgml.snapshots, pgml.models, pgml.deployments, pgml.files, pgml.logs, pgml.project_owners,
pgml.snapshot_owners, pgml.snapshot_options, pgml.model_reports from public, pgml_user;
grant select on pgml.projects, pgml.snapshots, pgml.models, pgml.deployments, pgml.files, pgml.logs, pgml.project_owners,
pgml.snapshot_owners, pgml.snapshot_options, pgml.model_reports to pgml_user;
-- Never an id or a time of one's own making: an id ahead of its sequence would make somebody's next training fail, and the
-- time of a deployment decides which model answers.
grant insert (name, task) on pgml.projects to pgml_user;
grant insert (project_id) on pgml.project_owners to pgml_user;
grant insert (snapshot_id) on pgml.snapshot_owners to pgml_user;
grant insert (relation_name, y_column_name, test_size, test_sampling, status, columns, analysis, materialized)
on pgml.snapshots to pgml_user;
grant insert (
    project_id, snapshot_id, num_features, algorithm, runtime, hyperparams, status, metrics, search, search_params, search_args
) on pgml.models to pgml_user;
grant insert (project_id, model_id, strategy) on pgml.deployments to pgml_user;
grant insert (model_id, path, part, data) on pgml.files to pgml_user;
grant insert (model_id, project_id, logs) on pgml.logs to pgml_user;
grant insert (snapshot_id, options) on pgml.snapshot_options to pgml_user;
grant insert (model_id, report) on pgml.model_reports to pgml_user;
-- Of a copy the columns are known after its rows are in.
grant update (columns, analysis) on pgml.snapshots to pgml_user;
-- Models are immutable; their owner may throw them away.
grant delete on pgml.projects, pgml.snapshots, pgml.models, pgml.deployments to pgml_user;
grant usage on all sequences in schema pgml to pgml_user;
