"""
### Let serve again what served a client before

Trigger it with a form; it never runs by itself. What serves is moved in one transaction on the primary, with a row in
the ledger; every call reads what serves, so open connections answer with the old model within seconds.

| parameter | |
|---|---|
| client | the key of the client, as in the name of its DAG |
| model | which of its models |
| to_version | a version of `ml.promotion_ledger`; empty: what served before (a second run goes further back) |
| reason | for the ledger |

**The gate afterwards.** A person has decided against what the rows up to now say: new models are compared with the one
that was gone back to on rows alone that have become known since, and there must be enough of them.

**A failure** changes nothing: there is no such version, or its model is gone from the replica (the last three champions
of a model are kept), or it takes other features than today's. The message names it. Predictions beside the platform's
rows change with the client's next nightly; trigger that one to have them at once.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from include.foresight import runtime

with DAG(
    runtime.ROLLBACK,
    description="What served a client before serves again",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=10),
    is_paused_upon_creation=False,
    params=runtime.rollback_params(),
    tags=[runtime.TAG, "fleet"],
    # Once more would go further back, and after a lost connection nobody knows whether it has been done.
    default_args=runtime.TASK_DEFAULTS | {"retries": 0},
    on_failure_callback=runtime.FailureNotifier(),
):
    runtime.FleetOperator(task_id="rollback", python_callable=runtime.roll_back, execution_timeout=timedelta(minutes=5))
