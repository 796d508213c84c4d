-- Of every model that something serves: up to which moment its rows have been looked at, by whichever champion they were
-- compared with (a row pays for one look), and up to which a person has decided, if what serves is there by a rollback.
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
    ) as looked_until,
    (
        select ledger.as_of
        from ml.promotion_ledger as ledger
        where
            ledger.client_id = champions.client_id
            and ledger.model = champions.model
            and ledger.version = champions.version
    ) as decided_until
from ml.champions as champions
where champions.client_id = %(client_id)s
