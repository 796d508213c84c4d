-- One judgement.
insert into ml.gate_verdicts (
    verdict_id,
    run_id,
    model_uuid,
    client_id,
    model,
    passed,
    decision,
    judged_version,
    criteria,
    scores,
    rows_judged,
    sentence,
    looked,
    level
)
values (
    %(verdict_id)s,
    %(run_id)s,
    %(model_uuid)s,
    %(client_id)s,
    %(model)s,
    %(passed)s,
    %(decision)s,
    %(judged_version)s,
    %(criteria)s,
    %(scores)s,
    %(rows_judged)s,
    %(sentence)s,
    %(looked)s,
    %(level)s
)
