-- A rule, in place of the one before.
insert into ml.ranges as kept (
    client_id, model, answered_by, rule, levels, held, rows_learned, as_of, run_id
)
values (
    %(client_id)s,
    %(model)s,
    %(answered_by)s,
    %(rule)s,
    %(levels)s,
    %(held)s,
    %(rows_learned)s,
    %(as_of)s,
    %(run_id)s
)
on conflict (client_id, model, answered_by) do update
set
    rule = excluded.rule,
    levels = excluded.levels,
    held = coalesce(excluded.held, kept.held),
    rows_learned = excluded.rows_learned,
    as_of = excluded.as_of,
    run_id = excluded.run_id,
    learned_at = clock_timestamp()
