-- How the model in service did when it was promoted.
select
    (verdicts.scores #>> '{{challenger,error}}')::float8 as error,
    (verdicts.scores #>> '{{simple,error}}')::float8 as simple
from ml.champions as champions
join ml.gate_verdicts as verdicts on verdicts.model_uuid = champions.model_uuid
where
    champions.client_id = %(client_id)s
    and champions.model = %(model)s
