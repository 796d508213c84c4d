-- Who may do what. pgml_predictor asks models that its role owns or that were shared with it, and changes nothing;
-- pgml_trainer trains, deploys and drops what it owns, and asks too; pgml_user means both, as it did before there were two.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['pgml_predictor', 'pgml_trainer'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            execute format('create role %I nologin', wanted);
        end if;
    end loop;
end
$$;

-- Who else than its owner may ask a project's models.
create table if not exists pgml.project_readers (
    project_id bigint not null references pgml.projects (id) on delete cascade,
    reader name not null,
    primary key (project_id, reader)
);

alter table pgml.project_readers enable row level security;
drop policy if exists own on pgml.project_readers;
drop policy if exists see on pgml.project_readers;
create policy own on pgml.project_readers
using (exists (select from pgml.project_owners as o where o.project_id = project_readers.project_id))
with check (exists (select from pgml.project_owners as o where o.project_id = project_readers.project_id));
create policy see on pgml.project_readers for select using (reader = (select current_user));

drop policy if exists shared on pgml.projects;
drop policy if exists shared on pgml.models;
drop policy if exists shared on pgml.deployments;
create policy shared on pgml.projects for select
using (exists (select from pgml.project_readers as r where r.project_id = projects.id));
create policy shared on pgml.models for select
using (exists (select from pgml.project_readers as r where r.project_id = models.project_id));
create policy shared on pgml.deployments for select
using (exists (select from pgml.project_readers as r where r.project_id = deployments.project_id));

-- Files and reports are seen by who sees their model. To see a model is not to write to it.
drop policy if exists own_only on pgml.deployments;
drop policy if exists own_only on pgml.files;
drop policy if exists own_only on pgml.model_reports;
create policy own_only on pgml.deployments as restrictive for insert
with check (exists (select from pgml.project_owners as o where o.project_id = deployments.project_id));
create policy own_only on pgml.files as restrictive for insert
with check (exists (
    select from pgml.models as m inner join pgml.project_owners as o on m.project_id = o.project_id
    where m.id = files.model_id
));
create policy own_only on pgml.model_reports as restrictive for insert
with check (exists (
    select from pgml.models as m inner join pgml.project_owners as o on m.project_id = o.project_id
    where m.id = model_reports.model_id
));

create or replace function pgml.share_project(project_name text, role_name name)
returns void
language plpgsql
volatile strict parallel unsafe
as $$
declare
    owned bigint;
begin
    select p.id into owned
    from pgml.projects as p inner join pgml.project_owners as o on p.id = o.project_id
    where p.name = project_name;
    if owned is null then
        raise exception 'pgml: project "%" does not exist or belongs to another role', project_name
            using errcode = 'undefined_object';
    end if;
    if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
        raise exception 'pgml: role "%" does not exist', role_name using errcode = 'undefined_object';
    end if;
    insert into pgml.project_readers (project_id, reader) values (owned, role_name) on conflict do nothing;
end
$$;

create or replace function pgml.unshare_project(project_name text, role_name name)
returns void
language sql
volatile strict parallel unsafe
as $$
delete from pgml.project_readers as r
using pgml.projects as p
where p.id = r.project_id and p.name = project_name and r.reader = role_name
$$;

comment on function pgml.share_project is 'Let another role ask the models of one''s own project, now and after its next trainings.';

revoke all on all functions in schema pgml from public, pgml_user, pgml_predictor, pgml_trainer;
revoke all on pgml.project_readers from public, pgml_user, pgml_predictor, pgml_trainer;

do $$
declare
    granted record;
    called record;
begin
    grant usage on schema pgml to pgml_user, pgml_predictor, pgml_trainer;
    grant select, insert (project_id, reader), delete on pgml.project_readers to pgml_user;

    -- What pgml_user has been granted above, the trainer has too; the predictor may look.
    for granted in
        select
            c.oid::regclass as relation,
            a.privilege_type as privilege
        from pg_class as c, aclexplode(c.relacl) as a
        where
            c.relnamespace = 'pgml'::regnamespace
            and a.grantee = 'pgml_user'::regrole
            and c.relname !~ '^snapshot_[0-9]+$'
    loop
        execute format('grant %s on %s to pgml_trainer', granted.privilege, granted.relation);
        if granted.privilege = 'SELECT' then
            execute format('grant select on %s to pgml_predictor', granted.relation);
        end if;
    end loop;
    for granted in
        select
            c.oid::regclass as relation,
            t.attname,
            a.privilege_type as privilege
        from pg_class as c
        inner join pg_attribute as t on c.oid = t.attrelid, aclexplode(t.attacl) as a
        where c.relnamespace = 'pgml'::regnamespace and a.grantee = 'pgml_user'::regrole
    loop
        execute format('grant %s (%I) on %s to pgml_trainer', granted.privilege, granted.attname, granted.relation);
    end loop;

    for called in
        select
            p.oid::regprocedure as function,
            p.proname
        from pg_proc as p
        where p.pronamespace = 'pgml'::regnamespace and p.prokind = 'f'
    loop
        continue when called.proname = '_unchecked_reals';
        execute format('grant execute on function %s to pgml_user, pgml_trainer', called.function);
        if called.proname ~ '^_?(predict|explain)' or called.proname in ('metrics', 'version', '_bytes', '_reals') then
            execute format('grant execute on function %s to pgml_predictor', called.function);
        end if;
    end loop;
end
$$;
