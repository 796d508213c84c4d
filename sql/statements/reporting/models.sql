-- What became of every model in this run, and what serves it now.
select
    training.model,
    training.status,
    training.reason,
    verdicts.sentence,
    champions.rung as served_by
from ml.training_runs as training
left join ml.gate_verdicts as verdicts on verdicts.model_uuid = training.model_uuid
left join ml.champions as champions
    on champions.client_id = training.client_id and champions.model = training.model
where
    training.run_id = %(run_id)s
    and training.client_id = %(client_id)s
order by training.model
