-- What an entity is called beside its id, with every prediction: ids are given anew when the platform empties its tables and
-- loads them again. Null: not known (nobody has predicted the entity beside the platform's rows, or it has no key); such a
-- row is taken by its id alone.
alter table ml.prediction_log
-- an issue's key; of a pull request: repository#number
add column entity_key text;
alter table ml.anomalies add column entity_key text;

update ml.prediction_log as logged
set entity_key = kept.key
from ml.issue_predictions as kept
where
    logged.entity = 'issue'
    and kept.client_id = logged.client_id
    and kept.model = logged.model
    and kept.issue_id = logged.entity_id;
update ml.prediction_log as logged
set entity_key = kept.key
from ml.pull_request_predictions as kept
where
    logged.entity = 'pull_request'
    and kept.client_id = logged.client_id
    and kept.model = logged.model
    and kept.pull_request_id = logged.entity_id;
update ml.anomalies as noted
set entity_key = logged.entity_key
from ml.prediction_log as logged
where
    logged.client_id = noted.client_id
    and logged.model = noted.model
    and logged.run_id = noted.run_id
    and logged.entity_id = noted.entity_id;

-- Predictions of what has another id now are taken away; the log keeps them.
grant delete on ml.issue_predictions, ml.pull_request_predictions to foresight_clients;
