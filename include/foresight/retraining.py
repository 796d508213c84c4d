"""When a model is trained anew, and why: the reason is on the training and on the run.

By labels and by age the night itself decides; by drift the watch asks, and the DAG `retraining` starts a run. Drift
alone asks for nothing: it has to do harm. A model that was trained lately is left alone (the cool-down), and of what is
not asked for by hand a replica does no more in one night than its budget.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID, uuid4

import numpy as np

from include.foresight import drift, gates, settings
from include.foresight.clients import Client
from include.foresight.database import Databases, Session, Transaction
from include.foresight.drift import LATELY_DAYS, LEAST, Shift
from include.foresight.model_specs import ModelSpec
from include.foresight.runs import Run
from include.foresight.sql import statement
from include.foresight.track_record import Outcome

FIRST, ASKED, CHANGED, LOST = "first", "asked", "changed", "lost"
LABELS, AGE, DRIFT = "labels", "age", "drift"
# These can wait for another night.
BY_ITSELF = (LABELS, AGE, DRIFT)

# As the gate looks: with fewer new rows it compares nothing, so a training could change nothing.
NEW_SHARE, NEW_LEAST = gates.STEP, 10
OLDEST_DAYS = 28
COOL_DOWN_DAYS = 7

# The error has to have grown by so much, and by more than luck explains. Every night looks again, until age alone
# trains the model anew: all those looks share one chance in twenty.
HARM, HARM_LEVEL = 0.1, 0.05 / OLDEST_DAYS


@dataclass(frozen=True)
class Due:
    """`now` false: not tonight, for this reason."""

    now: bool
    trigger: str | None
    reason: str


@dataclass(frozen=True)
class Harm:
    """Errors of what has come true: of the time before, and lately, of answers since the last training."""

    before: float
    recent: float
    rows: int
    luck: float

    @property
    def done(self) -> bool:
        return self.luck < HARM_LEVEL and self.recent >= (1 + HARM) * self.before


def due(run: Run, spec: ModelSpec, last: Mapping[str, Any] | None, *, lost: bool, same: bool, new: int) -> Due:
    """Whether a model with changed rows is trained. `last`: its last judged training; `lost`: what serves is not on
    its replica; `same`: the specification and the engine are as they were; `new`: labels that came since."""
    if run.request.reason:
        return Due(True, DRIFT, run.request.reason)
    if run.request.force_retrain or not run.request.usual:
        return Due(True, ASKED, "asked for by who started the run")
    if last is None:
        return Due(True, FIRST, "no training has been judged yet")
    if lost:
        return Due(True, LOST, "what serves is missing on its replica")
    if not same:
        return Due(True, CHANGED, "the specification, the settings or the engine have changed")
    days = (run.as_of - last["as_of"]) / datetime.timedelta(days=1)
    enough = max(NEW_LEAST, round(NEW_SHARE * last["rows"]))
    if days >= OLDEST_DAYS:
        return Due(True, AGE, f"the last training is {days:.0f} days old")
    state = f"{new} labels since the last training {days:.0f} days ago"
    if new < enough:
        return Due(False, None, f"not due: {state}; {enough} labels or {OLDEST_DAYS} days are needed")
    if days < COOL_DOWN_DAYS:
        return Due(False, None, f"not due: {state}; trained at most every {COOL_DOWN_DAYS} days")
    return Due(True, LABELS, state)


def within_budget(primary: Session, client: Client, found: Due) -> Due:
    """The same, or not tonight: the client's replica has done enough of what can wait."""
    if not found.now or found.trigger not in BY_ITSELF:
        return found
    with primary.as_fleet() as fleet:
        spent = _spent(fleet, client.replica_conn_id)
    if spent < settings.retraining_seconds():
        return found
    return Due(
        False,
        None,
        f"not due: {found.reason}, but the night's budget of {settings.retraining_seconds():.0f} s is spent",
    )


def new_labels(tx: Transaction, table: Any, since: datetime.datetime) -> int:
    """On the replica: of a training table."""
    return tx.define(statement("retraining/new_labels", table=table), {"since": since}).fetchone()["rows"]


# --- Asked for by the watch


def harm(spec: ModelSpec, known: Sequence[Outcome], since: datetime.datetime | None) -> Harm | None:
    """What lately came true, of answers after `since`, beside the time before. None: too little has come true."""
    before, recent = drift.recent(known)
    recent = [one for one in recent if since is None or one.told.as_of >= since]
    if min(len(before), len(recent)) < LEAST:
        return None
    # Imported here: half a second that nights without a drifting column need not pay.
    from scipy import stats

    old, new = _off(spec, before), _off(spec, recent)
    middle = np.median if spec.measure == "median_absolute_log_error" else np.mean
    luck = stats.mannwhitneyu(new, old, alternative="greater").pvalue
    return Harm(float(middle(old)), float(middle(new)), len(recent), float(luck))


def _off(spec: ModelSpec, rows: Sequence[Outcome]) -> np.ndarray:
    """What each answer was off by; of a probability squared, since one row has no order."""
    labels, answers = [one.label for one in rows], [one.told.value for one in rows]
    if spec.measure == "auc":
        return np.square(np.asarray(labels, dtype=float) - np.asarray(answers, dtype=float))
    return gates.losses(spec, labels, answers)


def watch(tx: Transaction, run: Run, spec: ModelSpec, shifts: Sequence[Shift], known: Sequence[Outcome]) -> str | None:
    """On the primary: ask for a training where drift does harm; the reason, None when nothing is asked for."""
    moved = [one for one in shifts if one.state == drift.DRIFTING]
    if not moved or run.request.as_of is not None:
        return None
    values = run.values | {"model": spec.model}
    state = tx.one("retraining/state", values)
    rested = run.as_of - datetime.timedelta(days=COOL_DOWN_DAYS)
    if any(moment is not None and moment > rested for moment in (state["trained"], state["asked"])):
        return None
    found = harm(spec, known, state["trained"])
    if found is None or not found.done:
        return None
    names = ", ".join(one.name for one in moved[:3]) + (f" and {len(moved) - 3} more" if len(moved) > 3 else "")
    reason = (
        f"drift in {names}, and the error of what came true has grown from {found.before:.3g} to {found.recent:.3g} "
        f"({found.rows} outcomes of the last {LATELY_DAYS} days)"
    )
    numbers = {name: value for name, value in asdict(found).items() if name != "rows"}
    asked = tx.one("retraining/ask", values | numbers | {"request_id": uuid4(), "reason": reason})
    return reason if asked else None


@dataclass(frozen=True)
class Wanted:
    """A run that is to be started."""

    slug: str
    run_id: str
    models: tuple[str, ...]
    reason: str


def take(databases: Databases) -> list[Wanted]:
    """What has been asked for and not been started, one run for each client, as far as the budgets go; what is taken
    is not given twice. What is left waits for the next night."""
    with databases.primary() as primary, primary.as_fleet() as fleet:
        budgets: dict[str, float] = {}
        by_client: dict[str, list[Mapping[str, Any]]] = {}
        for row in fleet.all("retraining/open"):
            left = budgets.setdefault(
                row["replica_conn_id"],
                settings.retraining_seconds() - _spent(fleet, row["replica_conn_id"]),
            )
            if left <= 0:
                continue
            budgets[row["replica_conn_id"]] = left - row["seconds"]
            by_client.setdefault(row["slug"], []).append(row)
        taken: list[UUID] = [row["request_id"] for rows in by_client.values() for row in rows]
        fleet.run("retraining/take", {"taken": taken})
    return [
        Wanted(
            slug,
            f"retraining__{rows[0]['request_id']}",
            tuple(sorted({row["model"] for row in rows})),
            "; ".join(f"{row['model']}: {row['reason']}" for row in rows),
        )
        for slug, rows in by_client.items()
    ]


def _spent(fleet: Transaction, replica_conn_id: str) -> float:
    """Processor seconds of the night on a replica, for what nobody asked for."""
    values = {"replica_conn_id": replica_conn_id, "triggers": list(BY_ITSELF)}
    return fleet.one("retraining/spent", values)["seconds"]
