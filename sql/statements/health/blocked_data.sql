-- Models of active clients that their last validated run, a day or two ago at most, did not train because of the data, by
-- run, and the checks that said so.
select
    clients.slug,
    clients.name,
    last_runs.dag_run_id,
    array_agg(models.model order by models.model) as models,
    array(
        select distinct results.check_name
        from ml.validation_results as results
        where
            results.run_id = last_runs.run_id
            and results.severity = 'block'
            and not results.passed
        order by results.check_name
    ) as checks
from ml.clients
cross join unnest(%(models)s::text[]) as models (model)
join lateral (
    select
        run_id,
        dag_run_id,
        phases,
        started_at
    from ml.nightly_runs
    where
        nightly_runs.client_id = clients.client_id
        and binding
        and phases ? 'validate'
        and coalesce(nullif(request -> 'models', 'null') ? models.model, true)
    order by started_at desc
    limit 1
) as last_runs on true
where
    clients.active
    and last_runs.started_at > clock_timestamp() - interval '2 days'
    and last_runs.phases #> '{{validate,blocked}}' ? models.model
group by
    clients.slug,
    clients.name,
    last_runs.run_id,
    last_runs.dag_run_id
order by
    clients.slug,
    last_runs.dag_run_id
