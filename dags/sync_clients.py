"""
### The registry on the primary → the snapshot that DAG files read

Every minute: makes roles and schemas of clients that have none yet (on the replica first, then on the primary) and
rewrites the snapshot (`FORESIGHT_REGISTRY_SNAPSHOT`) when a client came, went or changed. The DAG processor makes a
nightly DAG of each client in it.

**A failure** means that the primary cannot be read; the DAGs of the last snapshot go on. A client that cannot be
provisioned fails nothing here: the reason is in the snapshot, and the DAG `health` fails naming it. Nothing to clear,
the next minute tries again.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable

from include.foresight import runtime

with DAG(
    runtime.SYNC_CLIENTS,
    description="New, changed and gone clients of the registry",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("* * * * *", timezone="UTC"),
    catchup=False,
    allowed_run_types=runtime.RUN_TYPES,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=5),
    is_paused_upon_creation=False,
    tags=[runtime.TAG, "fleet"],
    # The next minute tries again.
    default_args=runtime.TASK_DEFAULTS | {"retries": 0},
    on_failure_callback=runtime.FailureNotifier(),
):
    runtime.FleetOperator(
        task_id="sync", python_callable=runtime.sync_clients, execution_timeout=timedelta(minutes=2), do_xcom_push=False
    )
