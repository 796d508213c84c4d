-- A night without news is over as soon as that is known.
update ml.nightly_runs
set
    summary = %(summary)s,
    finished_at = clock_timestamp()
where run_id = %(run_id)s
