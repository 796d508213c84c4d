-- Trainings that began in an earlier run and never ended.
update ml.training_runs
set
    status = 'interrupted',
    reason = 'the run was cut off',
    finished_at = clock_timestamp()
where
    client_id = %(client_id)s
    and run_id <> %(run_id)s
    and status = 'running'
