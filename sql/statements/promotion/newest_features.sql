-- What the model's features are today: those of its last training table.
select feature_hash
from ml.training_runs
where
    client_id = %(client_id)s
    and model = %(model)s
    and feature_hash is not null
order by started_at desc
limit 1
