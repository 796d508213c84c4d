"""The Airflow edge: DAGs from the registry, the bodies of tasks, hooks, retries, alert transport.

The only module of the library that imports Airflow. DAG files import it at every parse and at the start of every
task, so psycopg, pandas and whatever else is heavy is imported by the functions that need it.
"""

from __future__ import annotations

import datetime
import html
import json
import logging
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.python import PythonOperator, ShortCircuitOperator
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, Asset, AssetAlias, BaseNotifier, CronTriggerTimetable, Param, TriggerRule
from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException, AirflowSkipException, TaskDeferred

from include.foresight import alerts, connections, names, outbox, registry, settings
from include.foresight.alerts import Alert
from include.foresight.errors import ConfigurationError, ForesightError, RunNotPrepared
from include.foresight.registry import Entry

if TYPE_CHECKING:
    from airflow.sdk import Connection, Context
    from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy

    from include.foresight.database import Databases

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]

OWNER = "foresight"
TAG = "foresight"
SYNC_CLIENTS = "sync_clients"
HEALTH = "health"
ROLLBACK = "rollback"
RETRAINING = "retraining"

# A watch that asks for a training adds this event. Through an alias: most watches ask for none.
RETRAINING_ASKED = Asset(name="foresight_retraining", uri="foresight://retraining")
MAY_ASK = AssetAlias("foresight_retraining_asked")

PHASES = ("prepare", "validate", "train", "gate", "enrich", "watch", "report")

# One training is ended by the library long before; this ends a task whose server has stopped answering.
TIMEOUTS = {
    "prepare": timedelta(minutes=10),
    "validate": timedelta(minutes=30),
    "train": timedelta(hours=2),
    "gate": timedelta(minutes=30),
    "enrich": timedelta(minutes=30),
    "watch": timedelta(minutes=30),
    "report": timedelta(minutes=10),
}
NIGHTLY_TIMEOUT = timedelta(hours=8)

# What is promoted and served does not depend on whether everything before went well.
TRIGGER_RULES = dict.fromkeys(("gate", "enrich", "watch", "report"), TriggerRule.ALL_DONE)

# These use the replica; its pool is named like its connection.
ON_REPLICA = ("validate", "train", "gate", "enrich", "watch")

# A replica that stays behind is asked again this often and for this long; the task takes no slot meanwhile.
ASK_AGAIN_AFTER = timedelta(seconds=30)
WAIT_FOR_REPLICA = timedelta(minutes=30)

# A new client's first nightly is the next one. False does not say so: Airflow 3.3.2 takes it for "at once, if the last
# tick was less than a tenth of the period ago", which is 2.4 hours here.
WAIT_FOR_NEXT_TICK = timedelta(seconds=1)

SMTP_CONN_ID = "foresight_smtp"
WEBHOOK_CONN_ID = "foresight_webhook"
WEBHOOK_TIMEOUT = 10.0

# The tasks of the DAG `health`. A run of it whose tasks all left a result needs no alert of its own.
CHECKS = ("registry", "runs", "replication", "models")
# These run all day: one alert a day for each kind of failure. A run of another fleet DAG is somebody's request.
ALL_DAY = (SYNC_CLIENTS, HEALTH)
METRICS_TIMEOUT = 20.0
# Airflow's reason for a run that took too long. Its tasks may leave a note after the first callback has asked for it.
TIMED_OUT = "timed_out"

# A day of the calendar, or a moment of one; Airflow itself checks no format.
DAY = (
    r"((?!0000)\d{4}-(((0[13578]|1[02])-(0[1-9]|[12]\d|3[01]))|((0[469]|11)-(0[1-9]|[12]\d|30))|(02-(0[1-9]|1\d|2[0-8])))"
    r"|(\d\d(0[48]|[2468][048]|[13579][26])|([2468][048]|0[48]|[13579][26])00)-02-29)"
)
MOMENT = rf"^{DAY}([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{{1,6}})?)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)?)?$"

# Every way to begin a run but a backfill. Airflow takes backfilled runs for scheduled ones and starts the last tick
# after them, unasked; and as of a past day no run may change anything (`as_of` asks for one).
RUN_TYPES = ("scheduled", "manual", "operator_triggered", "asset_triggered", "asset_materialization")

# A form that was open for a while has a logical date of a while ago: that much is no wish.
LOGICAL_DATE_IS_PAST = timedelta(days=1)


class RetryWhatCanPass(RetryPolicy):
    """Try again what can pass by waiting, give up at once on what cannot; anything unknown is tried again."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        return retry_rules().evaluate(exception, try_number, max_tries, context)


@cache
def retry_rules() -> ExceptionRetryPolicy:
    """The first rule that fits decides. Made when something has failed: a rule imports the class that it names."""
    from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule

    errors = "include.foresight.errors"
    return ExceptionRetryPolicy(
        [
            RetryRule(
                [f"{errors}.ClientBusy", f"{errors}.ReplicaBehind"],
                retry_delay=timedelta(minutes=1),
                reason="waiting helps",
            ),
            RetryRule(f"{errors}.ForesightError", RetryAction.FAIL, reason="the same again would fail the same way"),
            RetryRule(
                ["psycopg.errors.QueryCanceled", "airflow.sdk.exceptions.AirflowTaskTimeout"],
                RetryAction.FAIL,
                reason="it has had its time",
            ),
            RetryRule("psycopg.ProgrammingError", RetryAction.FAIL, reason="the statement or a privilege is wrong"),
            RetryRule(
                ["psycopg.OperationalError", "psycopg.InterfaceError"],
                retry_delay=timedelta(seconds=20),
                reason="the server may be back",
            ),
        ]
    )


TASK_DEFAULTS: dict[str, Any] = {
    "owner": OWNER,
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_policy": RetryWhatCanPass(),
}


class FailureNotifier(BaseNotifier):
    """For `on_failure_callback` of a DAG: also told when a task was killed, which no callback of the task is."""

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """There are none; the DAG that `dag.test()` hands over could not render any."""

    def notify(self, context: Context) -> None:
        run_failed(context["dag"].dag_id, context["run_id"], str(context.get("reason") or "failed"))


class Findings(AirflowFailException):
    """A check failed its task because of what it found, and has sent an alert for each finding."""


class FleetOperator(PythonOperator):
    """A task of a fleet DAG. It notes on the primary how it ended: the DAG's callbacks learn only that a run failed."""

    def execute(self, context: Context) -> Any:
        try:
            result = super().execute(context)
        except Findings:
            self._note(context, "findings")
            raise
        except BaseException as error:  # Airflow's timeout is no Exception
            self._note(context, "failed", _kind(error))
            raise
        self._note(context, "clean")
        return result

    def _note(self, context: Context, state: str, error: str | None = None) -> None:
        values = {"dag_id": self.dag_id, "dag_run_id": context["run_id"], "task_id": self.task_id}
        try:
            with databases().primary() as session, session.as_fleet() as fleet:
                fleet.run("alerts/note_task", values | {"state": state, "error": error})
        except Exception as failure:  # the callbacks take a task without a note for one that was killed
            log.warning("not noted how the task ended: %s: %s", type(failure).__name__, failure)


def _kind(error: BaseException) -> str:
    """The class of an error, and its words if they are ours: a server's may name rows."""
    name = type(error).__name__
    return alerts.one_line(f"{name}: {error}") if isinstance(error, ForesightError) else name


# --- The nightly DAGs


def nightly_dags(only: str | None, doc: str | None) -> dict[str, DAG]:
    """The nightly DAGs by id: of every client of the snapshot, or, in a task's process, the one that runs.

    That one (`only`, the parsing context's id) is made from its id alone: what differs from client to client (schedule,
    pool) concerns the scheduler, and a task must be able to start whatever has become of the snapshot.
    """
    if only:
        slug = only.removeprefix(names.dag_id(""))
        return {only: nightly(Entry(slug), doc)} if only == names.dag_id(slug) else {}
    snapshot = registry.read(settings.registry_snapshot())
    if snapshot.error:
        log.error("%s", snapshot.error)
    dags, broken = build(snapshot.clients, doc)
    for slug, reason in broken.items():
        log.error("registry entry '%s' makes no DAG: %s", slug, reason)
    return dags


def build(entries: Sequence[Any], doc: str | None = None) -> tuple[dict[str, DAG], dict[str, str]]:
    """DAGs by id, and by slug why there is none. One bad entry must not take down the other DAGs of the file."""
    dags: dict[str, DAG] = {}
    broken: dict[str, str] = {}
    for number, stated in enumerate(entries):
        try:
            entry = Entry.of(stated)
            if names.dag_id(entry.slug) in dags:
                raise ConfigurationError(f"client '{entry.slug}' is in the snapshot twice")
            dag = nightly(entry, doc)
            dag.validate()
            dag.check_cycle()
            dags[dag.dag_id] = dag
        except Exception as error:  # Airflow raises its own, croniter's and the time zone library's
            slug = stated.get("slug") if isinstance(stated, Mapping) else None
            broken[str(slug or f"entry {number}")] = f"{type(error).__name__}: {error}"
    return dags, broken


def nightly(entry: Entry, doc: str | None = None) -> DAG:
    """The DAG of one client. It is not registered: whoever calls has to put it among a module's globals."""
    dag = DAG(
        names.dag_id(entry.slug),
        description=f"Nightly models of {entry.name or entry.slug}",
        doc_md=doc,
        schedule=CronTriggerTimetable(entry.cron, timezone=entry.time_zone, run_immediately=WAIT_FOR_NEXT_TICK),
        catchup=False,
        allowed_run_types=RUN_TYPES,
        max_active_runs=1,
        dagrun_timeout=NIGHTLY_TIMEOUT,
        is_paused_upon_creation=False,
        auto_register=False,
        params=params(),
        tags=[TAG, "nightly", f"client:{entry.slug}"],
        default_args=TASK_DEFAULTS,
        on_failure_callback=FailureNotifier(),
    )
    before = None
    for phase in PHASES:
        operator, body = {
            "prepare": (Prepare, prepare),
            "watch": (PythonOperator, watch),
            "report": (PythonOperator, report),
        }.get(phase, (PythonOperator, run_phase))
        task = operator(
            task_id=phase,
            dag=dag,
            python_callable=body,
            op_kwargs={"slug": entry.slug} | ({"phase": phase} if body is run_phase else {}),
            # The bodies say in words what they came to.
            show_return_value_in_logs=False,
            execution_timeout=TIMEOUTS[phase],
            trigger_rule=TRIGGER_RULES.get(phase, TriggerRule.ALL_SUCCESS),
            **({"pool": entry.replica_conn_id} if phase in ON_REPLICA else {}),
            **({"outlets": [MAY_ASK]} if phase == "watch" else {}),
        )
        if before:
            before >> task
        before = task
    return dag


@cache
def model_names() -> list[str]:
    """The models that are specified, without reading the specs."""
    return sorted(path.stem for path in (ROOT / "sql" / "features").glob("*.toml"))


def params() -> dict[str, Param]:
    """What may be asked of a run that somebody triggers; the defaults are the nightly's."""
    models = model_names()
    return {
        "models": Param(
            models,
            type="array",
            items={"type": "string", "enum": models},
            examples=models,
            minItems=1,
            uniqueItems=True,
            title="Models",
            description="Which models to look at; all of them by default.",
        ),
        "force_retrain": Param(
            False, type="boolean", title="Force retrain", description="Train even where the data have not changed."
        ),
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            description="Train and judge, but promote nothing and write no prediction.",
        ),
        "as_of": Param(
            None,
            type=["null", "string"],
            format="date-time",
            pattern=MOMENT,
            title="As of",
            description="As if it were this moment (UTC unless it names an offset). Never promotes, never overwrites.",
            # Of a value that does not fit, Airflow tells the pattern and what stands beside it, short lines whole.
            rule="a day that the calendar has, like 2024-05-31T00:00:00",
        ),
        "reason": Param(
            None,
            type=["null", "string"],
            title="Reason",
            description="Why a training is wanted; set by the DAG retraining.",
        ),
    }


def rollback_params() -> dict[str, Param]:
    """What a rollback has to be told. The empty defaults are refused by the run: Airflow 3.3.2 cannot tell of a failed
    run of a DAG whose parameters have no valid default."""
    return {
        "client": Param(
            "",
            type="string",
            pattern=r"^([a-z0-9][a-z0-9_]{0,62})?$",
            title="Client",
            description="The client's key, as at the end of its nightly DAG's name.",
        ),
        "model": Param("", type="string", enum=["", *model_names()], title="Model"),
        "to_version": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="To version",
            description="What served as this version of the ledger; empty: what served before.",
        ),
        "reason": Param("by hand", type="string", minLength=1, title="Reason", description="For the ledger."),
    }


def request(params: Mapping[str, Any], dag_run: Any) -> dict[str, Any]:
    """What the run asks of `prepare`. All models named is no wish: such a night may be skipped if nothing is new. A run
    that somebody has started for a logical date of the past is as of that date."""
    models, as_of = list(params["models"]), params["as_of"]
    logical_date = dag_run.logical_date
    if as_of is None and dag_run.run_type.value == "manual" and logical_date is not None:
        as_of = logical_date.isoformat() if dag_run.run_after - logical_date > LOGICAL_DATE_IS_PAST else None
    return {
        "models": None if sorted(models) == model_names() else models,
        "force_retrain": params["force_retrain"],
        "dry_run": params["dry_run"],
        "as_of": as_of,
        "reason": params["reason"],
        "trigger": dag_run.run_type.value,
    }


# --- The bodies of tasks


class Prepare(ShortCircuitOperator):
    """Skips the whole run, its report too, when nothing is new; defers while the replica is behind."""

    def resume(self, context: Context, event: Any = None, waited: float = 0.0) -> Any:
        """Ask again. `waited`: seconds spent deferred so far."""
        self.op_kwargs = {**self.op_kwargs, "waited": waited}
        return self.execute(context)


def prepare(
    slug: str, run_id: str, params: Mapping[str, Any], dag_run: Any, waited: float = 0.0
) -> dict[str, Any] | None:
    """Open the run; None if there is nothing to do (the run's row is closed then)."""
    from include.foresight import nightly

    result = nightly.prepare(
        databases(),
        slug,
        run_id,
        request(params, dag_run),
        waited=waited,
        at_most=WAIT_FOR_REPLICA.total_seconds(),
    )
    if result["state"] == "waiting":
        raise TaskDeferred(
            trigger=TimeDeltaTrigger(ASK_AGAIN_AFTER),
            method_name=Prepare.resume.__name__,
            kwargs={"waited": waited + ASK_AGAIN_AFTER.total_seconds()},
        )
    say(result)
    return None if result["state"] == "unchanged" else result


def run_phase(slug: str, phase: str, run_id: str) -> dict[str, Any]:
    """One phase between prepare and report."""
    from include.foresight import nightly

    try:
        result = nightly.PHASES[phase](databases(), slug, run_id)
    except RunNotPrepared as error:
        raise AirflowSkipException(str(error)) from error
    say(result)
    return result


def watch(slug: str, run_id: str, outlet_events: Any) -> dict[str, Any]:
    """The phase, and an asset event if it asks for a training."""
    result = run_phase(slug, "watch", run_id)
    if any(isinstance(found, Mapping) and found.get("retrain") for found in result.values()):
        outlet_events[MAY_ASK].add(RETRAINING_ASKED)
    return result


def choose_retrainings() -> list[dict[str, Any]]:
    """What the DAG `retraining` starts: for each run what the trigger operator takes."""
    from include.foresight import retraining

    chosen = retraining.take(databases())
    for one in chosen:
        log.info("%s: %s", one.slug, one.reason)
    return [
        {
            "trigger_dag_id": names.dag_id(one.slug),
            "trigger_run_id": one.run_id,
            "conf": {"models": list(one.models), "reason": one.reason},
        }
        for one in chosen
    ]


def say(result: Mapping[str, Any]) -> None:
    """What a phase came to, for whoever reads its task's log."""
    for name, value in result.items():
        if isinstance(value, Mapping):
            value = [f"{part} {of}" for part, of in value.items() if of is not None and part != "model"]
        if isinstance(value, list):
            value = ", ".join(map(str, value)) or "none"
        for line in f"{name}: {value}".splitlines():
            log.info("%s", line)


def report(slug: str, run_id: str, dag: DAG, ti: Any) -> dict[str, Any]:
    """Write the report, then fail if anything failed: this task is the last, so its state is the run's."""
    from include.foresight import nightly

    states = {task: state for task, state in task_states(dag.dag_id, run_id, ti).items() if task != ti.task_id}
    result = nightly.report(databases(), slug, run_id, states)
    say(result)
    failed = [phase for phase in PHASES if states.get(phase) == "failed"]
    if failed:
        raise AirflowFailException(f"failed in {', '.join(failed)}; the report is written")
    return result


def task_states(dag_id: str, run_id: str, ti: Any) -> dict[str, str]:
    """The states of a run's tasks, by task; those that have not begun are absent."""
    states = ti.get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {})
    return {task: str(state) for task, state in states.items() if state}


def sync_clients() -> list[str]:
    """The registry's clients, provisioned, into the snapshot."""
    return registry.sync(databases(), settings.registry_snapshot())


def roll_back(params: Mapping[str, Any], dag_run: Any) -> dict[str, Any]:
    """Let serve again what served before, in the name of who has triggered the run."""
    from include.foresight import promotion

    restored = promotion.rollback(
        databases(),
        params["client"],
        params["model"],
        to_version=params["to_version"],
        actor=f"{getattr(dag_run, 'triggering_user_name', None) or 'somebody'} by the DAG {ROLLBACK}",
        reason=params["reason"],
    )
    return {
        "version": restored.version,
        "restores": restored.restores,
        "rung": restored.rung,
        "model_uuid": str(restored.model_uuid) if restored.model_uuid else None,
        "sentence": restored.sentence,
    }


def check_registry() -> None:
    """Fail, naming them, for clients that should have a DAG and have none, and for a snapshot that is not fresh."""
    from include.foresight import health

    snapshot = registry.read(settings.registry_snapshot(), max_age=registry.MAX_AGE)
    found(health.registry_troubles(snapshot, build(snapshot.clients)[1]))


def check_runs(ti: Any) -> None:
    """Fail, naming them, for clients whose nightly did not begin, or does not get on."""
    from include.foresight import health

    found(
        [
            *health.missed_runs(databases(), paused=lambda dag_id: is_paused(dag_id, ti)),
            *health.waiting_runs(databases(), lambda dag_id, run_id: task_states(dag_id, run_id, ti)),
        ]
    )


def check_replication() -> None:
    """Fail, naming them, for slots and replicas that stay behind."""
    from include.foresight import health

    entries = registry.read(settings.registry_snapshot()).clients
    replicas = {
        entry["replica_conn_id"] for entry in entries if isinstance(entry, Mapping) and "replica_conn_id" in entry
    }
    found(health.replication_troubles(databases(), sorted(replicas)))


def check_models() -> None:
    from include.foresight import health

    try:
        found(health.model_troubles(databases()))
    finally:
        pass_on_metrics()


def pass_on_metrics(within: float = METRICS_TIMEOUT) -> None:
    """How every model is, through Airflow's own metrics: to wherever its section `metrics` sends them. A receiver that
    cannot be reached is logged and no more, and waited for no longer than `within` seconds."""

    def passed_on() -> None:
        try:
            from airflow.sdk.observability import stats

            from include.foresight import metrics

            for family in metrics.of_fleet(databases()):
                for sample in family.samples:
                    stats.gauge(sample.name.replace("_", ".", 1), float(sample.value), tags=dict(sample.labels))
        except Exception as error:
            log.warning("metrics not passed on: %s: %s", type(error).__name__, error)

    thread = Thread(target=passed_on, name="foresight-metrics", daemon=True)
    thread.start()
    thread.join(within)
    if thread.is_alive():
        log.warning("metrics not passed on within %.0f s", within)


def found(troubles: Sequence[Alert]) -> None:
    """Send what is due, these with it, each finding once a day; fail if there are any."""
    send(*troubles)
    if troubles:
        raise Findings("; ".join(f"{trouble.subject}: {trouble.body}" for trouble in troubles))


def is_paused(dag_id: str, ti: Any) -> bool:
    from airflow.sdk.exceptions import AirflowRuntimeError

    try:
        return ti.get_dag(dag_id).is_paused
    except AirflowRuntimeError:  # Airflow has no such DAG, which is the trouble
        return False


# --- Connections


def databases() -> Databases:
    from include.foresight.database import Databases

    return Databases(connect)


def connect(conn_id: str) -> Any:
    """A new psycopg connection by Airflow's hook, which gets what pools and the command line read as well."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook
    from airflow.sdk import Connection
    from psycopg.conninfo import conninfo_to_dict

    extra = json.dumps(conninfo_to_dict(conninfo(conn_id)))
    return PostgresHook(connection=Connection(conn_id=conn_id, conn_type="postgres", extra=extra)).get_conn()


def conninfo(conn_id: str) -> str:
    """The conninfo of that Airflow connection."""
    found = connection(conn_id)
    if found is None:
        raise ConfigurationError(f"Airflow has no connection '{conn_id}'")
    return connections.conninfo(
        conn_id,
        host=found.host,
        port=found.port,
        login=found.login,
        password=found.password,
        schema=found.schema,
        extra=found.extra,
    )


def connection(conn_id: str) -> Connection | None:
    from airflow.sdk import BaseHook

    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return None


class Outside:
    """What a process that is none of Airflow's needs of it: connections and paused DAGs, from Airflow's database and
    its secrets backend. What was read last stays while these are away."""

    def __init__(self) -> None:
        self._copied: set[str] = set()
        self._paused: frozenset[str] = frozenset()
        self._reader = Thread()

    def refresh(self, within: float = 20.0) -> None:
        """Read anew, and go on after `within` seconds if the database does not answer. Hooks find the connections in
        this process's environment; those that are there by somebody else's hand stay."""
        if not self._reader.is_alive():
            self._reader = Thread(target=self._read, daemon=True)
            self._reader.start()
        self._reader.join(within)

    def _read(self) -> None:
        from include.foresight.database import PRIMARY

        for conn_id in (PRIMARY, SMTP_CONN_ID, WEBHOOK_CONN_ID):
            self._copy(conn_id)
        try:
            for conn_id in outbox.webhooks(databases()):
                self._copy(conn_id)
        except Exception as error:
            log.debug("the clients' webhooks are as before: %s", error)
        try:
            from airflow.models.dag import DagModel
            from airflow.utils.session import create_session
            from sqlalchemy import select

            with create_session() as session:
                self._paused = frozenset(session.scalars(select(DagModel.dag_id).where(DagModel.is_paused.is_(True))))
        except Exception as error:
            log.debug("paused DAGs are as before: %s", error)

    def paused(self, dag_id: str) -> bool:
        return dag_id in self._paused

    def _copy(self, conn_id: str) -> None:
        from airflow.configuration import ensure_secrets_loaded
        from airflow.secrets.environment_variables import EnvironmentVariablesBackend

        variable = f"AIRFLOW_CONN_{conn_id.upper()}"
        if variable in os.environ and conn_id not in self._copied:
            return
        away = False
        for backend in ensure_secrets_loaded():
            if isinstance(backend, EnvironmentVariablesBackend):
                continue
            try:
                known = backend.get_connection(conn_id)
            except Exception as error:
                log.debug("whether '%s' is still a connection cannot be read: %s", conn_id, error)
                away = True
                continue
            if known:
                os.environ[variable] = known.as_json()
                self._copied.add(conn_id)
                return
        if conn_id in self._copied and not away:
            del os.environ[variable]
            self._copied.remove(conn_id)


# --- Alerts


class AirflowTransport:
    """By Airflow's connections: `foresight_smtp` (extra: from_email, to_email) and `foresight_webhook` (type http)."""

    def email(self, to: Sequence[str], subject: str, body: str) -> bool:
        smtp = connection(SMTP_CONN_ID)
        if smtp is None:
            return False
        own = smtp.extra_dejson.get("to_email") or []
        recipients = list(to) or ([own] if isinstance(own, str) else list(own))
        if not recipients:
            return False
        from airflow.providers.smtp.hooks.smtp import SmtpHook

        class OneAttempt(SmtpHook):
            """The outbox attempts again; the hook would send a message again whose confirmation was lost."""

            smtp_retry_limit = 0

        with OneAttempt(smtp_conn_id=SMTP_CONN_ID) as hook:
            hook.send_email_smtp(to=recipients, subject=subject, html_content=f"<pre>{html.escape(body)}</pre>")
        return True

    def webhook(self, conn_id: str | None, payload: Mapping[str, Any]) -> bool:
        if connection(conn_id or WEBHOOK_CONN_ID) is None:
            if conn_id:
                raise ConfigurationError(f"Airflow has no connection '{conn_id}', which the client's row names")
            return False
        from airflow.providers.http.hooks.http import HttpHook

        hook = HttpHook(method="POST", http_conn_id=conn_id or WEBHOOK_CONN_ID)
        try:
            hook.run(
                data=json.dumps(payload),
                headers={"Content-Type": "application/json"},
                extra_options={"timeout": WEBHOOK_TIMEOUT},
            )
        except OSError as error:  # what requests raises
            # Its text has the address, which is a secret: whoever knows it can post there.
            raise ConnectionError(f"{type(error).__name__} at connection '{conn_id or WEBHOOK_CONN_ID}'") from None
        return True

    def channels(self) -> list[str]:
        """The fleet's channels, by their connections."""
        return [conn_id for conn_id in (SMTP_CONN_ID, WEBHOOK_CONN_ID) if connection(conn_id) is not None]


def send(*found: Alert) -> set[outbox.Key]:
    """Record these alerts and deliver whatever is due; the keys of what was delivered just now."""
    return outbox.send(databases(), found, AirflowTransport())


def run_failed(dag_id: str, run_id: str, reason: str) -> bool:
    """Report a failed run of one of our DAGs, whoever noticed it; whether its alert was delivered just now."""
    slug = dag_id.removeprefix(names.dag_id(""))
    link = run_link(dag_id, run_id)
    if dag_id == names.dag_id(slug):
        alert = alerts.nightly_failed(slug, run_id, reason, link=link, **_reported(slug, run_id))
    elif dag_id in (SYNC_CLIENTS, HEALTH, ROLLBACK, RETRAINING):
        errors = _errors(dag_id, run_id) if reason != TIMED_OUT else {}
        if errors is None:
            return False
        occasion = _today() if dag_id in ALL_DAY else run_id
        alert = alerts.fleet_dag_failed(dag_id, run_id, reason, occasion, errors=errors, link=link)
    else:
        return False
    return alert.key in send(alert)


def import_failed(file: str, stacktrace: str) -> bool:
    """Report a DAG file of ours that cannot be imported; other bundles' files are others' affair."""
    path = Path(file)
    if not path.is_relative_to(ROOT):
        return False
    alert = alerts.import_failed(str(path.relative_to(ROOT)), stacktrace, _today())
    return alert.key in send(alert)


def run_link(dag_id: str, run_id: str) -> str:
    from urllib.parse import quote

    from airflow.configuration import conf

    base = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    return f"{base}/dags/{quote(dag_id)}/runs/{quote(run_id)}"


def _reported(slug: str, run_id: str) -> dict[str, Any]:
    """What the run's report adds to the message, if the primary answers and there is one."""
    try:
        with databases().primary() as session, session.as_fleet() as fleet:
            row = fleet.one("alerts/failed_run", {"slug": slug, "dag_run_id": run_id})
    except Exception as error:  # `send` will say so
        log.warning("the report of %s cannot be read: %s", run_id, error)
        return {}
    return (
        {name: row[name] for name in ("name", "attempt")} | {"failed_tasks": row["failed_tasks"] or ()} if row else {}
    )


def _errors(dag_id: str, run_id: str) -> dict[str, str] | None:
    """By task, what a failed run of a fleet DAG failed of; None if all that failed were findings, each reported."""
    try:
        with databases().primary() as session, session.as_fleet() as fleet:
            rows = fleet.all("alerts/ended_tasks", {"dag_id": dag_id, "dag_run_id": run_id})
    except Exception as error:  # `send` will say so
        log.warning("how the tasks of %s ended cannot be read: %s", run_id, error)
        return {}
    errors = {row["task_id"]: row["error"] for row in rows if row["state"] == "failed"}
    if dag_id != HEALTH:
        return errors
    without = set(CHECKS) - {row["task_id"] for row in rows}
    return errors | dict.fromkeys(without, "no result (killed, or never begun)") or None


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()
