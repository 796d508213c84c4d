-- Models of active clients that the last look, a day or two ago at most, found unhealthy. Without the reason: it names rows.
select
    clients.slug,
    clients.name,
    last_looks.model,
    last_looks.checked_at
from ml.clients
join lateral (
    select distinct on (model)
        model,
        status,
        checked_at
    from ml.model_health
    where model_health.client_id = clients.client_id
    order by
        model,
        checked_at desc
) as last_looks on true
where
    clients.active
    and last_looks.status = 'unhealthy'
    and last_looks.checked_at > clock_timestamp() - interval '2 days'
order by
    clients.slug,
    last_looks.model
