"""What no run can report about itself: runs that never happened, runs that wait for ever, a replica that stays behind.

Each function returns what it found as alerts; one per day and trouble reaches somebody, however often it is looked for.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from include.foresight import model_specs, names, registry, replication
from include.foresight.alerts import Alert, one_line
from include.foresight.database import Databases
from include.foresight.registry import Entry, Snapshot

# A nightly waits for its replica's pool at worst; after this it did not begin at all.
GRACE = timedelta(hours=2)
# Longer than any nightly takes whose tasks get their slots.
UNFINISHED_MINUTES = 60
BYTES_BEHIND = 256 * 1024**2
REPLICA_PATIENCE = 60.0
# Seconds beyond that for a replica to say how its subscription is.
ANSWER_TIMEOUT = 5.0

# The states of one DAG run's tasks, by task.
TaskStates = Callable[[str, str], Mapping[str, str]]


def today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def registry_troubles(snapshot: Snapshot, broken: Mapping[str, str]) -> list[Alert]:
    """A snapshot that is not fresh, active clients that are not in it, entries (`broken`) that make no DAG."""
    found = []
    if snapshot.error:
        found.append(
            Alert(
                None, f"snapshot:{today()}", "Foresight: the snapshot of the registry is not fresh", str(snapshot.error)
            )
        )
    for slug, reason in sorted(snapshot.problems.items()):
        found.append(Alert(None, f"no_dag:{slug}:{today()}", f"Foresight: client '{slug}' has no nightly", reason))
    for slug, reason in sorted(broken.items()):
        found.append(
            Alert(
                None,
                f"broken_entry:{slug}:{today()}",
                one_line(f"Foresight: the registry entry of '{slug}' makes no DAG"),
                f"{reason}\nThe other clients' DAGs are not affected. Correct the row in ml.clients.",
            )
        )
    return found


def missed_runs(
    databases: Databases, *, now: datetime.datetime | None = None, paused: Callable[[str], bool] = lambda dag_id: False
) -> list[Alert]:
    """Nightlies that were due more than GRACE ago, under the schedule of now, and have not begun since; a paused DAG is
    somebody's decision."""
    now = now or datetime.datetime.now(datetime.UTC)
    with databases.primary() as session, session.as_fleet() as fleet:
        rows = fleet.all("health/last_runs")
    found = []
    for row in rows:
        entry = Entry(row["slug"], schedule=row["schedule"], time_zone=row["time_zone"])
        try:
            due = registry.last_due(entry.cron, entry.time_zone, now - GRACE)
        except (ValueError, KeyError):  # a wrong schedule is registry_troubles' affair
            continue
        last = row["last_started_at"]
        if row["scheduled_since"] >= due or (last and last >= due) or paused(names.dag_id(entry.slug)):
            continue
        since = f"the last one began {last:%Y-%m-%d %H:%M %Z}" if last else "there has never been one"
        found.append(
            Alert(
                entry.slug,
                f"missed_run:{due:%Y-%m-%dT%H:%M}",
                one_line(f"Foresight: the nightly of {row['name']} has not run"),
                f"Client '{entry.slug}' was due at {due:%Y-%m-%d %H:%M %Z} (schedule '{entry.cron}'); {since}. "
                f"Look whether the scheduler is up and the DAG {names.dag_id(entry.slug)} is there and not paused.",
            )
        )
    return found


def waiting_runs(databases: Databases, states: TaskStates) -> list[Alert]:
    """Runs that do not get on, and why if it is a pool: a task of a missing pool waits until its run times out."""
    with databases.primary() as session, session.as_fleet() as fleet:
        rows = fleet.all("health/unfinished_runs", {"minutes": UNFINISHED_MINUTES})
    found = []
    for row in rows:
        tasks = states(names.dag_id(row["slug"]), row["dag_run_id"])
        waiting = sorted(task for task, state in tasks.items() if state == "scheduled")
        if not waiting or any(state == "running" for state in tasks.values()):
            continue
        pool = row["replica_conn_id"]
        found.append(
            Alert(
                row["slug"],
                f"waiting_run:{row['dag_run_id']}",
                one_line(f"Foresight: the nightly of {row['name']} gets no slot"),
                f"The run began at {row['started_at']:%H:%M %Z}; its task {', '.join(waiting)} waits for a slot of the "
                f"pool '{pool}': the pool is full, or missing (airflow pools set {pool} 2 replica).",
            )
        )
    return found


def model_troubles(databases: Databases) -> list[Alert]:
    """Models that were found unhealthy, and data that kept a model from being trained. Which rows were at fault is in
    the report: an alert may go to people who see no client's data."""
    with databases.primary() as session, session.as_fleet() as fleet:
        unhealthy = fleet.all("health/unhealthy_models")
        blocked = fleet.all("health/blocked_data", {"models": list(model_specs.names())})
    found = [
        Alert(
            row["slug"],
            f"unhealthy:{row['model']}:{today()}",
            one_line(f"Foresight: the {row['model']} model of {row['name']} is unhealthy"),
            f"The look of {row['checked_at']:%Y-%m-%d %H:%M %Z} found it so. Where a model cannot answer the simple "
            "rung does. ./foresight report, or the model's page, says why; "
            f"./foresight rollback {row['slug']} {row['model']} goes back.",
        )
        for row in unhealthy
    ]
    return found + [
        Alert(
            row["slug"],
            f"blocked:{','.join(row['models'])}:{today()}",
            one_line(f"Foresight: the data of {row['name']} kept {len(row['models'])} models from being trained"),
            f"In run {row['dag_run_id']} the checks {', '.join(row['checks']) or '(see the report)'} blocked "
            f"{', '.join(row['models'])}. What serves goes on serving; ./foresight report names the rows.",
        )
        for row in blocked
    ]


def replication_troubles(
    databases: Databases, replicas: Iterable[str], *, patience: float = REPLICA_PATIENCE
) -> list[Alert]:
    """Slots that are lost or far behind, and replicas that do not show a heartbeat within `patience` seconds."""
    found = []
    with databases.primary() as session:
        with session.as_fleet() as fleet:
            slots = replication.slots(fleet)
            beat = replication.beat(fleet)
    for row in slots:
        if row["wal_status"] in replication.LOST:
            trouble = (
                f"its WAL is {row['wal_status']}: the replica has to be copied anew"
                if row["wal_status"] == "lost"
                else ("the primary will soon throw away WAL that the replica has not had (wal_status unreserved)")
            )
        elif not row["active"]:
            trouble = "nobody reads it: the replica, or its subscription, is down"
        elif row["bytes_behind"] > BYTES_BEHIND:
            trouble = f"the replica is {row['bytes_behind'] // 1024**2} MB behind"
        else:
            continue
        found.append(_replication(f"slot:{row['slot']}", f"replication slot {row['slot']}", trouble))
    answers = _ask_replicas(databases, list(replicas), beat, patience)
    return found + [
        _replication(f"replica:{conn_id}", f"replica {conn_id}", trouble)
        for conn_id, trouble in answers.items()
        if trouble
    ]


def _ask_replicas(
    databases: Databases, replicas: list[str], beat: datetime.datetime, patience: float
) -> dict[str, str | None]:
    """What is wrong with each, if anything. All are asked at once, under one deadline: neither one that is away nor one
    that does not answer a connection hides the others or adds to their time."""
    troubles: dict[str, str | None] = dict.fromkeys(replicas, f"it does not answer within {patience:.0f} s")

    def ask(conn_id: str) -> None:
        try:
            trouble = _replica_trouble(databases, conn_id, beat, patience)
        except Exception as error:
            trouble = f"it cannot be used: {error}"
        troubles[conn_id] = trouble

    deadline = time.monotonic() + patience + ANSWER_TIMEOUT
    threads = [threading.Thread(target=ask, args=(conn_id,), daemon=True) for conn_id in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(troubles)


def _replication(key: str, what: str, trouble: str) -> Alert:
    return Alert(None, f"{key}:{today()}", f"Foresight: trouble with {what}", f"{what}: {trouble}.")


def _replica_trouble(databases: Databases, conn_id: str, beat: datetime.datetime, patience: float) -> str | None:
    with databases.session(conn_id) as session:
        if replication.waited(session, beat, patience) is not None:
            return None
        with session.as_fleet() as fleet:
            rows = fleet.all("health/replication_state")
    if not rows:
        return "it has no subscription"
    state = rows[0]
    facts = f"{state['tables_ready']} of {state['tables']} tables ready, {state['apply_errors'] or 0} apply errors"
    kind = "disabled" if not state["enabled"] else "enabled" if state["working"] else "enabled, but nothing works on it"
    return f"it has not shown a heartbeat for {patience:.0f} s (subscription {kind}, {facts})"
