-- How the tasks of a run of a fleet DAG ended; a task that was killed left no row.
select task_id, state, error
from ml.fleet_tasks
where dag_id = %(dag_id)s and dag_run_id = %(dag_run_id)s
order by task_id
