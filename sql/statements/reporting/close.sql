-- The run is over.
update ml.nightly_runs
set
    state = %(state)s,
    failed_tasks = %(failed_tasks)s,
    predictions_written = %(predictions_written)s,
    summary = %(summary)s,
    finished_at = clock_timestamp()
where run_id = %(run_id)s
