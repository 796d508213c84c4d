"""
### Trainings that the watch has asked for

A night's *watch* asks for a training where what a model is asked about has drifted and its errors have grown. That is
an asset event, which starts this DAG; what was left over starts with the run at 06:00 UTC.

| task | what it does |
|---|---|
| choose | takes the requests (`ml.retrain_requests`) that the night's budget of each replica has room for, once each |
| start | one nightly run for each client, with the models and the reason; there is none when nothing is chosen |

The run's reason is in its parameters, in `ml.nightly_runs.request` and in `ml.training_runs.why`. It is queued behind
the client's running night. The gate decides whether anything changes for users.

**Budget**: `FORESIGHT_RETRAINING_SECONDS` processor seconds a night on each replica (14400). What is over it waits for
the next day, oldest first.

**A failure** leaves what serves as it is. *Clear* `start` when the cause is gone; a run that was started is not started
again. Unstarted requests are asked for again by the watch after a week if the harm goes on.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable

from include.foresight import runtime

with DAG(
    runtime.RETRAINING,
    description="Trainings that the watch has asked for",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 6 * * *", timezone="UTC"), assets=[runtime.RETRAINING_ASKED]
    ),
    catchup=False,
    allowed_run_types=runtime.RUN_TYPES,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=30),
    is_paused_upon_creation=False,
    tags=[runtime.TAG, "fleet"],
    default_args=runtime.TASK_DEFAULTS | {"execution_timeout": timedelta(minutes=5)},
    on_failure_callback=runtime.FailureNotifier(),
):
    choose = runtime.FleetOperator(task_id="choose", python_callable=runtime.choose_retrainings)
    TriggerDagRunOperator.partial(task_id="start", skip_when_already_exists=True).expand_kwargs(choose.output)
