-- What the test rows said of the model that answers for a project: PostgresML's metrics, and as "report" what we have beyond
-- them (per class, confusion, calibration; per label of a joint model).
create or replace function pgml.metrics(model_id bigint)
returns jsonb
language plpgsql
stable strict parallel safe
as $$
declare
    found_metrics jsonb;
begin
    select
        coalesce(m.metrics, '{}')
        || case when r.report is null then '{}' else jsonb_build_object('report', r.report) end
    into found_metrics
    from pgml.models as m
    left join pgml.model_reports as r on m.id = r.model_id
    where m.id = metrics.model_id;
    if not found then
        raise exception 'pgml: model % does not exist', metrics.model_id using errcode = 'undefined_object';
    end if;
    return found_metrics;
end
$$;

create or replace function pgml.metrics(project_name text)
returns jsonb
language plpgsql
stable strict parallel safe
as $$
declare
    answering bigint;
begin
    select d.model_id into answering
    from pgml.projects as p
    inner join pgml.deployments as d on p.id = d.project_id
    where p.name = metrics.project_name
    order by d.created_at desc, d.id desc
    limit 1;
    if answering is null then
        raise exception 'pgml: No deployed model exists for the project named: "%"', metrics.project_name
            using errcode = 'undefined_object';
    end if;
    return pgml.metrics(answering);
end
$$;
