"""Predictions beside the platform's rows: scored set-wise on the replica, written to the primary in one transaction."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from include.foresight import anomalies, answering, champions, grades, guard, renumbering, runs
from include.foresight.answering import Answered
from include.foresight.champions import Champion
from include.foresight.database import Databases, Session, Transaction
from include.foresight.model_specs import ModelSpec
from include.foresight.rungs import PRIOR, RECENT
from include.foresight.runs import Run
from include.foresight.sql import statement

SCORE_SECONDS = 300.0


@dataclass(frozen=True)
class Enriched:
    """`written`: predictions that are now the newest of their entity. `remark`: why a champion could not answer.
    `constant`: that all predictions have the same value."""

    model: str
    rung: str
    written: int
    excluded: int
    remark: str | None = None
    constant: str | None = None


def enrich(databases: Databases, run: Run, specs: Sequence[ModelSpec]) -> list[Enriched]:
    """Write every model's predictions for the client's open entities, and take away those of what has another id now;
    nothing in a dry run, or where predictions are off."""
    client = run.client
    if not client.ml_predictions_enabled or run.request.dry_run:
        return []
    with databases.locked(client.client_id) as primary, databases.session(client.replica_conn_id) as replica:
        renumbering.forget(databases, primary, replica, client)
        with primary.as_client(client.client_id) as tx:
            serving = champions.read(tx, client.client_id)
            binding = runs.is_binding(tx, run)
        return [
            _write(primary, _predict(databases, replica, run, spec, serving[spec.model]), run, spec, binding)
            for spec in specs
            if spec.model in serving
        ]


@dataclass(frozen=True)
class _Answers:
    """`rows`: binary COPY data of the answers."""

    champion: Champion
    answered: Answered
    rows: list[bytes]
    milliseconds: int


def _predict(databases: Databases, replica: Session, run: Run, spec: ModelSpec, champion: Champion) -> _Answers:
    def ask(tx: Transaction) -> _Answers:
        began = time.monotonic()
        answered = answering.answer(tx, spec, run.client.client_id, run.as_of, champion)
        with tx.connection.cursor().copy(statement("enrichment/copy_out")) as copy:
            rows = [bytes(block) for block in copy]
        return _Answers(champion, answered, rows, round((time.monotonic() - began) * 1000))

    return guard.on_copies(databases, run.client, replica, ask, timeout=SCORE_SECONDS)


def _write(primary: Session, answers: _Answers, run: Run, spec: ModelSpec, binding: bool) -> Enriched:
    served_by_model = answers.answered.rung not in (RECENT, PRIOR)
    values = run.values | {
        "model": spec.model,
        "model_name": answers.champion.model_name,
        "model_uuid": answers.champion.model_uuid if served_by_model else None,
        "rung": answers.answered.rung,
        "prior": PRIOR,
        "entity": spec.entity,
        "feature_hash": answers.answered.feature_hash,
        "milliseconds": answers.milliseconds,
        "binding": binding,
    }
    with primary.as_client(run.client.client_id) as tx:
        values |= {"grades": Jsonb(grades.scale(spec))}
        tx.run("enrichment/incoming")
        with tx.connection.cursor().copy(statement("enrichment/copy_in")) as copy:
            for block in answers.rows:
                copy.write(block)
        tx.run("enrichment/log", values)
        written = tx.run("enrichment/upsert", values, **renumbering.table(spec.entity)).rowcount
        totals = tx.one("enrichment/totals")
    rung = PRIOR if totals["from_prior"] and not served_by_model else answers.answered.rung
    answered = answers.answered
    return Enriched(spec.model, rung, written, answered.excluded, answered.remark, _constant(spec, totals))


def _constant(spec: ModelSpec, totals: Mapping[str, Any]) -> str | None:
    """Say that all predictions have the same value, which tells nobody anything; None when they differ."""
    if totals["rows"] < 2 or totals["lowest"] != totals["highest"]:
        return None
    unit, size = anomalies.UNITS[spec.unit]
    return f"all {totals['rows']} predictions are the same: {totals['lowest'] / size:.4g}{unit}"
