-- The newest judgements, oldest first: what was off by how much, of the new model, of what served afterwards and of the
-- simple rung. `binding`: it could change what serves.
select *
from (
    select
        verdicts.model_uuid,
        runs.as_of,
        verdicts.decision,
        verdicts.passed,
        verdicts.rows_judged,
        verdicts.criteria,
        verdicts.scores,
        verdicts.sentence,
        verdicts.looked,
        verdicts.level,
        verdicts.created_at,
        runs.binding
    from ml.gate_verdicts as verdicts
    join ml.nightly_runs as runs on runs.run_id = verdicts.run_id
    where
        verdicts.client_id = %(client_id)s
        and verdicts.model = %(model)s
    order by verdicts.created_at desc
    limit %(nights)s
) as newest
order by created_at
