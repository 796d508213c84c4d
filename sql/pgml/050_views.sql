-- PostgresML's columns and order. They run with the rights of who looks: a plain view would show everybody's projects.
create or replace view pgml.overview with (security_invoker = true) as
select
    p.name,
    d.created_at as deployed_at,
    p.task,
    m.algorithm,
    m.runtime,
    s.relation_name,
    s.y_column_name,
    s.test_sampling,
    s.test_size
from pgml.projects as p
inner join pgml.models as m on p.id = m.project_id
inner join pgml.deployments as d on p.id = d.project_id and m.id = d.model_id
inner join pgml.snapshots as s on m.snapshot_id = s.id
order by d.created_at desc;

create or replace view pgml.trained_models with (security_invoker = true) as
select
    m.id,
    p.name,
    p.task,
    m.algorithm,
    m.runtime,
    m.created_at,
    s.test_sampling,
    s.test_size,
    d.model_id is not null as deployed
from pgml.projects as p
inner join pgml.models as m on p.id = m.project_id
inner join pgml.snapshots as s on m.snapshot_id = s.id
left join (
    select distinct on (project_id)
        project_id,
        model_id
    from pgml.deployments
    order by project_id asc, created_at desc, id desc
) as d on m.id = d.model_id
order by m.created_at desc;

create or replace view pgml.deployed_models with (security_invoker = true) as
select
    m.id,
    p.name,
    p.task,
    m.algorithm,
    m.runtime,
    d.created_at as deployed_at
from pgml.projects as p
inner join (
    select distinct on (project_id)
        project_id,
        model_id,
        created_at
    from pgml.deployments
    order by project_id asc, created_at desc, id desc
) as d on p.id = d.project_id
inner join pgml.models as m on d.model_id = m.id
order by p.name asc;

revoke all on pgml.overview, pgml.trained_models, pgml.deployed_models from public, pgml_user;
grant select on pgml.overview, pgml.trained_models, pgml.deployed_models to pgml_user;
