-- What the gate has done in this run already.
select
    model_uuid,
    decision,
    sentence
from ml.gate_verdicts
where run_id = %(run_id)s
