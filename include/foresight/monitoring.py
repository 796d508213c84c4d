"""Health of what serves: does the model still give the answer that it gave?"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import psycopg

from include.foresight import (
    anomalies,
    answering,
    champions,
    drift,
    features,
    guard,
    pgml,
    replication,
    retraining,
    runs,
    track_record,
)
from include.foresight.champions import Champion
from include.foresight.database import Databases, Session, Transaction, is_away, message
from include.foresight.model_specs import ModelSpec
from include.foresight.runs import Run
from include.foresight.track_record import Outcome

# How long a look waits for the replica to have what the primary has.
BEHIND_SECONDS = 10.0
# Reading half a year of first answers.
DRIFT_SECONDS = 60.0

HEALTHY, DEGRADED, UNHEALTHY = "healthy", "degraded", "unhealthy"


@dataclass(frozen=True)
class Health:
    """`drifting`: features (or: prediction, label) that have moved; `warming_up`: too little was asked about yet.
    `unusual`: how many answers of the night are; `retrain`: why a training is asked for."""

    model: str
    status: str
    reason: str
    drifting: tuple[str, ...] = ()
    warming_up: bool = False
    unusual: int = 0
    retrain: str | None = None


def watch(databases: Databases, run: Run, specs: Sequence[ModelSpec]) -> list[Health]:
    """Look at every model of the client, and write down what was found. A run that binds nothing has changed nothing,
    so it looks at nothing."""
    client = run.client
    with databases.primary() as primary, contextlib.ExitStack() as sessions:
        with primary.as_client(client.client_id) as tx:
            if not runs.is_binding(tx, run):
                return []
            serving = champions.read(tx, client.client_id)
        replica = sessions.enter_context(databases.session(client.replica_conn_id))
        behind = replication.behind(primary, replica, BEHIND_SECONDS)
        data_as_of = guard.on_copies(
            databases,
            client,
            replica,
            lambda tx: tx.one("serving/data_clock", {"client_id": client.client_id})["moment"],
            timeout=DRIFT_SECONDS,
        )
        found = [_health(primary, replica, run, spec, serving.get(spec.model)) for spec in specs]
        if behind is None:
            found = [_late(one) for one in found]
        for place, spec in enumerate(specs):
            known = _outcomes(databases, primary, replica, run, spec)
            with primary.as_client(client.client_id, timeout=DRIFT_SECONDS) as tx:
                shifts = drift.look(tx, client, spec, known, run.as_of)
                drift.record(tx, run.values, spec.model, shifts)
                drifting = tuple(one.name for one in shifts if one.state == drift.DRIFTING)
                warming_up = bool(shifts) and all(one.warming_up for one in shifts)
                unusual = anomalies.look(tx, run.values, spec)
                anomalies.record(tx, run.values, spec.model, unusual)
                wish = retraining.watch(tx, run, spec, shifts, known)
                found[place] = replace(
                    found[place], drifting=drifting, warming_up=warming_up, unusual=len(unusual), retrain=wish
                )
        with primary.as_client(client.client_id) as tx:
            for health in found:
                champion = serving.get(health.model)
                tx.run(
                    "monitoring/record",
                    run.values
                    | asdict(health)
                    | {
                        "data_as_of": data_as_of,
                        "behind": behind,
                        "rung": champion.rung if champion else None,
                        "model_uuid": champion.model_uuid if champion else None,
                    },
                )
    return found


def _outcomes(databases: Databases, primary: Session, replica: Session, run: Run, spec: ModelSpec) -> list[Outcome]:
    """What earlier answers have come to, as of the run."""
    client = run.client
    with primary.as_client(client.client_id, timeout=DRIFT_SECONDS) as tx:
        told = track_record.told(tx, client, spec, run.as_of)
    return guard.on_copies(
        databases,
        client,
        replica,
        lambda tx: track_record.outcomes(tx, client, spec, told, run.as_of),
        timeout=DRIFT_SECONDS,
    )


def last(tx: Transaction, client_id: int) -> list[dict[str, Any]]:
    """How every model of the client was found the last time: status, reason, rung; as of when the model was trained and
    the data go (UTC, without a zone), the replica's lag then; the last judgement; what the last training asked of the
    replica."""
    return tx.all("monitoring/last", {"client_id": client_id})


def _late(found: Health) -> Health:
    if found.status != HEALTHY:
        return found
    late = f"the replica has not had for {BEHIND_SECONDS:.0f} s what the primary has"
    return replace(found, status=DEGRADED, reason=f"{late}; {found.reason}")


def _health(primary: Session, replica: Session, run: Run, spec: ModelSpec, champion: Champion | None) -> Health:
    if champion is None:
        return Health(spec.model, UNHEALTHY, "nothing serves: no night has come through yet")
    if champion.pgml_model_id is None:
        return Health(spec.model, DEGRADED, f"{spec.simple_name} serves, no model does")
    with primary.as_client(run.client.client_id) as tx:
        row = tx.one("monitoring/recent_answer", {"client_id": run.client.client_id, "model_uuid": champion.model_uuid})
    try:
        with replica.as_client(run.client.client_id) as tx:
            today = features.named(tx, spec, run.client.client_id, run.as_of)
            if remark := answering.unanswerable(tx, champion, features.feature_hash(today)):
                return Health(spec.model, UNHEALTHY, remark)
            if row is None:
                return Health(spec.model, HEALTHY, "the model is there; it has had nothing to answer yet")
            values = list(_features(row["input_features"], row["feature_names"]))
            simple = row["input_features"].get("simple")
            given = pgml.answer(tx, features.scale(spec), champion.pgml_model_id, values, simple)
    except psycopg.Error as error:
        if is_away(error):
            raise
        return Health(spec.model, UNHEALTHY, f"the model does not answer: {message(error)}")
    stored = row["prediction_value"]
    if not math.isclose(given, stored, rel_tol=1e-5, abs_tol=1e-6):
        return Health(
            spec.model,
            UNHEALTHY,
            f"{spec.entity} {row['entity']} was answered with {stored:.6g}; the same features now give {given:.6g}",
        )
    return Health(spec.model, HEALTHY, f"answers {spec.entity} {row['entity']} as before")


def _features(stored: dict[str, Any], names: Sequence[str]) -> list[float]:
    """A logged row as the model takes it."""
    return [float(stored[name]) for name in names]
