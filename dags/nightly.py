"""
### The nightly run of one client

Validates the client's data, trains its models inside PostgreSQL, judges them against those in service, promotes the
better ones, writes predictions beside the platform's rows and watches what became of earlier predictions. One DAG per
active client of the registry (`ml.clients` on the primary); a new row appears here within two minutes, without a
deployment.

**When.** By the client's own `schedule` and `time_zone`, else once a night between 01:00 and 05:00 in its time zone,
at a minute that follows from its slug.

| task | what it does | what a failure means |
|---|---|---|
| prepare | waits for the replica, tidies up after a crash; skips the rest if nothing is new | a server is away |
| validate | runs `sql/checks/`: `block`, `quarantine` or `warn` | every model is blocked: see `ml.validation_results` |
| train | a table per model, a training where it is due | named models failed (`ml.training_runs`), others went on |
| gate | challenger, champion and simple rung on the same later rows; promotes | what was served is served on |
| enrich | scores open pull requests and unestimated issues | predictions are those of the last night |
| watch | outcomes, health, drift, the unusual; asks for a training where drift does harm | only knowledge is missing |
| report | a row and a summary in `ml.nightly_runs`, whatever happened before | on purpose, if a task before it failed |

**Manual runs** (Trigger; all optional):

```json
{"models": ["complexity"], "force_retrain": true, "dry_run": true, "as_of": "2024-05-31T00:00:00"}
```

`dry_run` trains and judges but promotes and writes nothing; a past `as_of` never promotes and never overwrites a
newer prediction, and one of the future is refused. A logical date of more than a day ago is taken for `as_of`.
*Backfill* is not offered: a past day can change nothing, and Airflow would go on from it. `reason` is set by the DAG
`retraining`, which starts a run where drift does harm.

**Trained** is a model whose rows have changed when a tenth as many labels are new as it was trained on, when its last
training is four weeks old, when its specification has changed, or when a run asks for it; else it is *not due*
(`ml.training_runs`), and what serves goes on.

**After a failure.** Whatever can pass by waiting has been tried three times. *Clear* the failed task with everything
downstream once the cause is gone: every task may be repeated, and a cleared run keeps its `as_of`. *Trigger* anew
instead if the data have changed meanwhile, or a later run has come through: a run that was overtaken changes nothing.
A killed task leaves no query running on the server for longer than two seconds.

**Alerts** go to the client's `alert_emails` and `alert_webhook_conn_id`, else to the connections `foresight_smtp` and
`foresight_webhook`; one message per failed run.
"""

from __future__ import annotations

from airflow.sdk import get_parsing_context

from include.foresight import runtime

# In a task's process the id of its DAG is known and everything else is left alone.
globals().update(runtime.nightly_dags(get_parsing_context().dag_id, doc=__doc__))
