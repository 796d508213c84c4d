-- How the model was found the last time.
select
    status,
    reason,
    rung,
    checked_at
from ml.model_health
where
    client_id = %(client_id)s
    and model = %(model)s
order by checked_at desc
limit 1
