-- When the last nightly of every provisioned client began (what looks only, or at some models only, is none), and since when its
-- schedule applies.
select
    clients.slug,
    clients.name,
    clients.schedule,
    clients.time_zone,
    greatest(clients.provisioned_at, clients.scheduled_since) as scheduled_since,
    runs.started_at as last_started_at
from ml.clients
left join lateral (
    select started_at
    from ml.nightly_runs
    where
        nightly_runs.client_id = clients.client_id
        and binding
        and jsonb_typeof(request -> 'models') is distinct from 'array'
    order by started_at desc
    limit 1
) as runs on true
where
    clients.active
    and clients.provisioned_at is not null
order by clients.slug
