-- Of every model that something serves: up to which moment its rows have been looked at, by whichever champion they were
-- compared with (a row pays for one look), and up to which a person has decided, if what serves is there by a rollback.
-- Moments after the run's own are of a clock that has gone back since, and count for nothing.
select
    champions.model,
    (
        select max(runs.as_of)
        from ml.gate_verdicts as verdicts
        join ml.nightly_runs as runs on runs.run_id = verdicts.run_id
        where
            verdicts.client_id = champions.client_id
            and verdicts.model = champions.model
            and verdicts.looked
            and runs.as_of <= %(as_of)s
    ) as looked_until,
    (
        select
            case
                when ledger.as_of <= %(as_of)s then ledger.as_of
                when ledger.as_of is not null
                    then (
                        select max(runs.as_of)
                        from ml.nightly_runs as runs
                        where
                            runs.client_id = ledger.client_id
                            and runs.binding
                            and runs.started_at <= ledger.created_at
                            and runs.as_of <= %(as_of)s
                    )
            end
        from ml.promotion_ledger as ledger
        where
            ledger.client_id = champions.client_id
            and ledger.model = champions.model
            and ledger.version = champions.version
    ) as decided_until
from ml.champions as champions
where champions.client_id = %(client_id)s
