-- Clients whose last night, a day or two ago at most, trained a model not at all because of its data, and the checks that said so.
select
    clients.slug,
    clients.name,
    last_runs.dag_run_id,
    array(
        select blocked.model
        from jsonb_object_keys(last_runs.phases #> '{{validate,blocked}}') as blocked (model)
        order by blocked.model
    ) as models,
    array(
        select results.check_name
        from ml.validation_results as results
        where
            results.run_id = last_runs.run_id
            and results.severity = 'block'
            and not results.passed
        order by results.check_name
    ) as checks
from ml.clients
join lateral (
    select
        run_id,
        dag_run_id,
        phases,
        started_at
    from ml.nightly_runs
    where nightly_runs.client_id = clients.client_id
    order by started_at desc
    limit 1
) as last_runs on true
where
    clients.active
    and last_runs.started_at > clock_timestamp() - interval '2 days'
    and last_runs.phases #> '{{validate,blocked}}' <> '{{}}'
order by clients.slug
