-- Earlier runs that never came to their report.
update ml.nightly_runs
set
    state = 'failed',
    summary = coalesce(summary, 'The run was cut off before its report.'),
    finished_at = clock_timestamp()
where
    client_id = %(client_id)s
    and run_id <> %(run_id)s
    and state in ('running', 'prepared')
