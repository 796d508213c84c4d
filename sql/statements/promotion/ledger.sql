-- What served, what serves, why and by whom. `restores`, `as_of`: of a rollback alone.
insert into ml.promotion_ledger (
    client_id,
    model,
    version,
    from_rung,
    from_model_uuid,
    to_rung,
    to_model_uuid,
    verdict_id,
    actor,
    reason,
    restores,
    as_of
)
values (
    %(client_id)s,
    %(model)s,
    %(version)s,
    %(from_rung)s,
    %(from_model_uuid)s,
    %(to_rung)s,
    %(to_model_uuid)s,
    %(verdict_id)s,
    %(actor)s,
    %(reason)s,
    %(restores)s,
    %(as_of)s
)
