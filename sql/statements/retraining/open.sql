-- What was asked for and has not been started, of active clients, oldest first, with what the last training cost. Whoever
-- reads at the same time waits, and then finds it taken.
select
    requests.request_id,
    requests.model,
    requests.reason,
    clients.slug,
    clients.replica_conn_id,
    coalesce(
        (
            select training.cpu_seconds
            from ml.training_runs as training
            where
                training.client_id = requests.client_id
                and training.model = requests.model
                and training.status = 'trained'
            order by training.started_at desc
            limit 1
        ),
        0
    ) as seconds
from ml.retrain_requests as requests
join ml.clients as clients on clients.client_id = requests.client_id
where
    requests.taken_at is null
    and clients.active
order by
    requests.asked_at,
    requests.request_id
for update of requests
