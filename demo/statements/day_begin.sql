-- The day's row, made when it is not there; `FINISHED` when the day is over.
with begun as (
    insert into job_schedules (job_name, status, last_run_started_at, client_id)
    select 'demo_day', 'RUNNING', now() at time zone 'utc', min(id) from clients having count(*) > 0
    on conflict (client_id, job_name) do nothing
    returning status
)
select status from begun
union all
select status from job_schedules where job_name = 'demo_day'
limit 1
