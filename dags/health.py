"""
### What no run can report about itself

Every 15 minutes, four independent looks; a task fails naming what it found:

| task | finds |
|---|---|
| registry | a snapshot that is stale or unreadable, clients that could not be provisioned, entries that make no DAG |
| runs | nightlies due more than two hours ago that never began; runs that wait for a missing or full pool |
| models | models that the last night found unhealthy; data that kept a model from being trained |
| replication | slots that are lost, unread or far behind; replicas that do not show a heartbeat within a minute |

Each finding is sent once a day, a client's own to the client's recipients; a task that fails of anything else gives an
alert of its own. Alerts that no channel has taken yet are sent too. A task turns green by itself once the cause is
gone; clearing repeats the check.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable

from include.foresight import runtime

with DAG(
    runtime.HEALTH,
    description="Missing runs, replication, broken registry entries",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("*/15 * * * *", timezone="UTC"),
    catchup=False,
    allowed_run_types=runtime.RUN_TYPES,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=14),
    is_paused_upon_creation=False,
    tags=[runtime.TAG, "fleet"],
    default_args=runtime.TASK_DEFAULTS | {"retries": 1, "execution_timeout": timedelta(minutes=5)},
    on_failure_callback=runtime.FailureNotifier(),
):
    for check in runtime.CHECKS:
        runtime.FleetOperator(task_id=check, python_callable=getattr(runtime, f"check_{check}"))
