-- The day is over.
update job_schedules
set
    status = 'FINISHED',
    last_success_at = now() at time zone 'utc',
    last_updated_at = now() at time zone 'utc'
where job_name = 'demo_day'
