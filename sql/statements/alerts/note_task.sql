-- How a task of a fleet DAG ended, its last try at last. Notes of a week ago are dropped: nobody asks for them any more.
with dropped as (
    delete from ml.fleet_tasks
    where
        ended_at < clock_timestamp() - interval '7 days'
        and (dag_id, dag_run_id, task_id) <> (%(dag_id)s, %(dag_run_id)s, %(task_id)s)
)

insert into ml.fleet_tasks (dag_id, dag_run_id, task_id, state, error)
values (%(dag_id)s, %(dag_run_id)s, %(task_id)s, %(state)s, %(error)s)
on conflict (dag_id, dag_run_id, task_id) do update
set state = excluded.state, error = excluded.error, ended_at = clock_timestamp()
