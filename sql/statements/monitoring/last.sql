-- The newest look at every model of a client.
select distinct on (model)
    model,
    status,
    reason,
    rung,
    checked_at
from ml.model_health
where client_id = %(client_id)s
order by
    model,
    checked_at desc
