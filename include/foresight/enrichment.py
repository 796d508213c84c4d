"""Predictions beside the platform's rows: scored set-wise on the replica, written to the primary in one transaction."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from include.foresight import champions, features, grades, pgml
from include.foresight.champions import Champion
from include.foresight.database import Databases, Session, Transaction, is_away, message
from include.foresight.model_specs import ModelSpec
from include.foresight.runs import Run
from include.foresight.sql import statement
from include.foresight.training import PRIOR, RECENT

log = logging.getLogger(__name__)

SCORE_SECONDS = 300.0

PREDICTIONS = {"issue": "issue_predictions", "pull_request": "pull_request_predictions"}


@dataclass(frozen=True)
class Enriched:
    """`written`: predictions that are now the newest of their entity. `remark`: why a champion could not answer."""

    model: str
    rung: str
    written: int
    excluded: int
    remark: str | None = None


def enrich(databases: Databases, run: Run, specs: Sequence[ModelSpec]) -> list[Enriched]:
    """Write every model's predictions for the client's open entities; nothing in a dry run, or where it is off."""
    client = run.client
    if not client.ml_predictions_enabled or run.request.dry_run:
        return []
    with databases.locked(client.client_id) as primary, databases.session(client.replica_conn_id) as replica:
        with primary.as_client(client.client_id) as tx:
            serving = champions.read(tx, client.client_id)
        return [
            _write(primary, _predict(replica, run, spec, serving[spec.model]), run, spec)
            for spec in specs
            if spec.model in serving
        ]


@dataclass(frozen=True)
class _Answers:
    """`rows`: binary COPY data of the answers."""

    champion: Champion
    rung: str
    rows: list[bytes]
    excluded: int
    feature_hash: str
    milliseconds: int
    remark: str | None


def _predict(replica: Session, run: Run, spec: ModelSpec, champion: Champion) -> _Answers:
    began = time.monotonic()
    client_id = run.client.client_id
    with replica.as_client(client_id, timeout=SCORE_SECONDS) as tx:
        names = features.score(tx, spec, client_id, run.as_of)
        feature_hash = features.feature_hash(names)
        remark = unanswerable(tx, champion, feature_hash)
        with_model = champion.pgml_model_id is not None and remark is None
        if with_model:
            try:
                with tx.savepoint():
                    pgml.answer_scored(tx, features.scale(spec), champion.pgml_model_id, names)
            except psycopg.Error as error:
                if is_away(error):
                    raise
                with_model = False
                remark = f"model {champion.model_uuid} does not answer ({message(error)}): the simple rung does"
        if not with_model:
            tx.run("enrichment/answer_simple")
        if remark:
            log.warning("%s/%s: %s", run.client.slug, spec.model, remark)
        excluded = tx.one("enrichment/excluded")["excluded"]
        rung = champion.rung if with_model else RECENT
        copied = tx.run("enrichment/outgoing").rowcount
        log.info("%s/%s: %s rows scored by %s, %s left out", run.client.slug, spec.model, copied, rung, excluded)
        with tx.connection.cursor().copy(statement("enrichment/copy_out")) as copy:
            rows = [bytes(block) for block in copy]
    milliseconds = round((time.monotonic() - began) * 1000)
    return _Answers(champion, rung, rows, excluded, feature_hash, milliseconds, remark)


def unanswerable(tx: Transaction, champion: Champion, feature_hash: str) -> str | None:
    """Why the champion's model cannot be asked on this replica; None when it can, or when its rung has no model."""
    if champion.pgml_model_id is None:
        return None
    if champion.feature_hash != feature_hash:
        return f"model {champion.model_uuid} was trained on other features than today's: the simple rung answers"
    if not pgml.exists(tx, champion.pgml_model_id, champion.model_name):
        return f"model {champion.model_uuid} is missing on its replica: the simple rung answers until it is retrained"
    return None


def _write(primary: Session, answers: _Answers, run: Run, spec: ModelSpec) -> Enriched:
    served_by_model = answers.rung not in (RECENT, PRIOR)
    values = run.values | {
        "model": spec.model,
        "model_name": answers.champion.model_name,
        "model_uuid": answers.champion.model_uuid if served_by_model else None,
        "rung": answers.rung,
        "prior": PRIOR,
        "entity": spec.entity,
        "feature_hash": answers.feature_hash,
        "milliseconds": answers.milliseconds,
    }
    with primary.as_client(run.client.client_id) as tx:
        values |= {"grades": Jsonb(grades.scale(tx, spec, run.client.client_id, answers.rung))}
        tx.run("enrichment/incoming")
        with tx.connection.cursor().copy(statement("enrichment/copy_in")) as copy:
            for block in answers.rows:
                copy.write(block)
        tx.run("enrichment/log", values)
        written = tx.run("enrichment/upsert", values, **_table(spec)).rowcount
    return Enriched(spec.model, answers.rung, written, answers.excluded, answers.remark)


def _table(spec: ModelSpec) -> dict[str, sql.Identifier]:
    return {
        "predictions": sql.Identifier("ml", PREDICTIONS[spec.entity]),
        "entity_id": sql.Identifier(f"{spec.entity}_id"),
    }
