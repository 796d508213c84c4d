-- Processor time of the trainings since a moment, by client and model, of the active clients that the role may see.
select
    clients.client_id,
    clients.slug,
    clients.name,
    models.model,
    costs.trainings,
    costs.cpu_seconds,
    costs.seconds
from ml.clients as clients
cross join unnest(%(models)s::text[]) as models (model)
cross join lateral (
    select
        count(*) as trainings,
        coalesce(sum(training.cpu_seconds), 0) as cpu_seconds,
        coalesce(sum(training.seconds), 0) as seconds
    from ml.training_runs as training
    where
        training.client_id = clients.client_id
        and training.model = models.model
        and training.started_at >= %(since)s
) as costs
where clients.active
order by clients.slug, models.model
