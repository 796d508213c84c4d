-- The newest training that the watch has asked for because drift does harm.
select
    requests.as_of,
    requests.reason,
    requests.taken_at
from ml.retrain_requests as requests
where
    requests.client_id = %(client_id)s
    and requests.model = %(model)s
order by requests.as_of desc
limit 1
