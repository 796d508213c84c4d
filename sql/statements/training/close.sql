-- What came of it.
update ml.training_runs
set
    status = %(status)s,
    reason = %(reason)s,
    trigger = %(trigger)s,
    why = %(why)s,
    rung = %(rung)s,
    ladder = %(ladder)s,
    pgml_model_id = %(pgml_model_id)s,
    pgml_version = %(pgml_version)s,
    training_table = %(training_table)s,
    fingerprint = %(fingerprint)s,
    feature_names = %(feature_names)s,
    feature_hash = %(feature_hash)s,
    rows_train = %(rows_train)s,
    rows_test = %(rows_test)s,
    rows_removed = %(rows_removed)s,
    cut_at = %(cut_at)s,
    metrics = %(metrics)s,
    seconds = %(seconds)s,
    cpu_seconds = %(cpu_seconds)s,
    peak_bytes = %(peak_bytes)s,
    temp_bytes = %(temp_bytes)s,
    longest_seconds = %(longest_seconds)s,
    longest_statement = %(longest_statement)s,
    finished_at = clock_timestamp()
where model_uuid = %(model_uuid)s
