-- The newest judgements of every model: what was off by how much, of what served afterwards and of the simple rung. Dry
-- runs and runs of the past changed nothing, so they tell nothing of what serves.
select
    champions.client_id,
    champions.model,
    judged.as_of,
    judged.served,
    judged.simple
from ml.champions as champions
cross join lateral (
    select
        runs.as_of,
        (
            case verdicts.decision
                when 'promote' then verdicts.scores #> '{{challenger,error}}'
                when 'demote' then verdicts.scores #> '{{simple,error}}'
                else coalesce(verdicts.scores #> '{{champion,error}}', verdicts.scores #> '{{simple,error}}')
            end #>> '{{}}'
        )::float8 as served,
        (verdicts.scores #>> '{{simple,error}}')::float8 as simple
    from ml.gate_verdicts as verdicts
    join ml.nightly_runs as runs on runs.run_id = verdicts.run_id
    where
        verdicts.client_id = champions.client_id
        and verdicts.model = champions.model
        and runs.binding
    order by verdicts.created_at desc
    limit %(nights)s
) as judged
order by
    champions.client_id,
    champions.model,
    judged.as_of
