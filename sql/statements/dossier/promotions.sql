-- Every change of what serves, newest first, with the moment of the data that it was decided on.
select
    ledger.version,
    ledger.from_rung,
    ledger.to_rung,
    ledger.to_model_uuid,
    ledger.restores,
    ledger.actor,
    ledger.reason,
    ledger.created_at,
    coalesce(runs.as_of, ledger.as_of, ledger.created_at at time zone 'UTC') as moment
from ml.promotion_ledger as ledger
left join ml.gate_verdicts as verdicts on verdicts.verdict_id = ledger.verdict_id
left join ml.nightly_runs as runs on runs.run_id = verdicts.run_id
where
    ledger.client_id = %(client_id)s
    and ledger.model = %(model)s
order by ledger.version desc
limit %(most)s
