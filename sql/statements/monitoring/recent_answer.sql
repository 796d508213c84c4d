-- A real, recent row that this model has answered.
select
    coalesce(answers.entity_key, answers.entity_id::text) as entity,
    -- What the model itself said: a probability is told as what it has come to.
    coalesce((answers.ranges ->> 'raw')::float8, answers.prediction_value) as prediction_value,
    answers.input_features,
    training.feature_names
from ml.prediction_log as answers
join ml.training_runs as training on training.model_uuid = answers.model_uuid
where
    answers.client_id = %(client_id)s
    and answers.model_uuid = %(model_uuid)s
order by answers.created_at desc
limit 1
