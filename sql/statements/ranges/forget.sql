-- Rules of models that nobody goes back to any more: all but the simple rung's and those of the last different champions.
delete from ml.ranges
where
    client_id = %(client_id)s
    and model = %(model)s
    and answered_by <> %(simple)s::uuid
    and answered_by not in (
        select ledger.to_model_uuid
        from ml.promotion_ledger as ledger
        where
            ledger.client_id = %(client_id)s
            and ledger.model = %(model)s
            and ledger.to_model_uuid is not null
        group by ledger.to_model_uuid
        order by max(ledger.version) desc
        limit %(kept)s
    )
