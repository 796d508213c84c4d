"""Train a client's models on its replica, one after the other in one session, and keep what came of each.

A model that fails is a row of ml.training_runs; the others go on.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from include.foresight import champions, features, folds, guard, leaks, names, pgml, retraining
from include.foresight.database import Databases, Session, is_away, message
from include.foresight.errors import ForesightError
from include.foresight.features import TrainingTable
from include.foresight.folds import Candidate
from include.foresight.load import Meter
from include.foresight.model_specs import ModelSpec
from include.foresight.pgml import Trained
from include.foresight.retraining import Due
from include.foresight.rungs import BOOSTED, LINEAR
from include.foresight.runs import Run
from include.foresight.sql import statement
from include.foresight.version import code_version

log = logging.getLogger(__name__)

# Building a training table reads a client's rows a few times over; more than this is a fault.
BUILD_SECONDS = 300.0

# Fewer rows of the rarer class teach and tell nothing.
LEAST_OF_A_CLASS = 5

# A status after which a repeated task need not do the model again.
DONE = ("trained", "unchanged", "not_due", "blocked", "too_little_data")


@dataclass(frozen=True)
class Outcome:
    """What became of one model in one run."""

    model: str
    status: str
    reason: str | None = None
    rung: str | None = None


def train(databases: Databases, run: Run, specs: Sequence[ModelSpec], blocked: Mapping[str, str]) -> list[Outcome]:
    """Train the models in turn. `blocked`: why a model's data must not be trained on."""
    client = run.client
    with databases.locked(client.client_id) as primary, contextlib.ExitStack() as sessions:
        replica = _Replica(databases, client.replica_conn_id, sessions)
        return [_Training(databases, run, spec, primary, replica).run_it(blocked.get(spec.model)) for spec in specs]


def ladder(spec: ModelSpec) -> list[tuple[str, str, Mapping[str, Any]]]:
    """The rungs that are trained, best first unless earlier data say otherwise: name, algorithm, hyperparameters."""
    return [(BOOSTED, spec.algorithm, spec.hyperparams), (LINEAR, "linear", {})]


def candidates(spec: ModelSpec, ours: bool) -> list[Candidate]:
    """The ways of learning that are compared. Of what the simple rung leaves every rung can learn; the specified
    algorithm also learns the label itself. `ours`: whether the engine is our own."""
    found = []
    for rung, algorithm, hyperparams in ladder(spec):
        if spec.residual:
            more = spec.residual if algorithm == spec.algorithm else {}
            # Where the label begins is of the label itself.
            relative = {name: value for name, value in hyperparams.items() if name != "base_score"} | dict(more)
            found.append(Candidate(rung, algorithm, pgml.accepted(relative, ours), relative=True))
        if not spec.residual or rung == BOOSTED:
            found.append(Candidate(rung, algorithm, pgml.accepted(hyperparams, ours)))
    return found


@dataclass
class _Replica:
    """One session for all models, so that libraries are imported once; another when it was ended with a hung fit."""

    databases: Databases
    conn_id: str
    sessions: contextlib.ExitStack
    _session: Session | None = None

    @property
    def session(self) -> Session:
        if self._session is None or self._session.connection.closed:
            self._session = self.sessions.enter_context(self.databases.session(self.conn_id))
        return self._session


@dataclass
class _Training:
    """One model's training."""

    databases: Databases
    run: Run
    spec: ModelSpec
    primary: Session
    on: _Replica

    @property
    def replica(self) -> Session:
        return self.on.session

    @property
    def client_id(self) -> int:
        return self.run.client.client_id

    @property
    def project(self) -> str:
        return names.project(self.spec.project_name, self.client_id, self.spec.version)

    def run_it(self, blocked: str | None) -> Outcome:
        row = self._open()
        if row["status"] in DONE:
            return Outcome(self.spec.model, row["status"], row["reason"], row["rung"])
        model_uuid, began = row["model_uuid"], time.monotonic()
        meter = Meter(self.replica, self.client_id)
        try:
            found = {"status": "blocked", "reason": blocked} if blocked else self._train()
        except (ForesightError, psycopg.Error) as error:
            if is_away(error):
                raise  # not this model's failure
            reason = message(error)
            log.error("%s/%s: %s", self.run.client.slug, self.spec.model, reason)
            found = {"status": "failed", "reason": reason}
        seconds = time.monotonic() - began
        load = {name: value for name, value in asdict(meter.load(self.replica, seconds)).items() if value is not None}
        self._close(model_uuid, found | load | {"seconds": seconds})
        return Outcome(self.spec.model, found["status"], found.get("reason"), found.get("rung"))

    def _train(self) -> dict[str, Any]:
        spec = self.spec
        with self.replica.as_client(self.client_id) as tx:
            engine = pgml.version(tx)
        table = guard.on_copies(
            self.databases,
            self.run.client,
            self.replica,
            lambda tx: features.build(tx, spec, self.client_id, self.run.as_of, self.run.run_id),
            timeout=BUILD_SECONDS,
        )
        found = {
            "pgml_version": engine,
            "training_table": table.name,
            "fingerprint": table.fingerprint,
            "feature_names": list(table.feature_names),
            "feature_hash": table.feature_hash,
            "rows_train": table.rows_train,
            "rows_test": table.rows_test,
            "rows_removed": table.rows_removed,
            "cut_at": table.cut_at,
        }
        if table.rows_train < spec.min_train_rows or table.rows_test < spec.min_test_rows:
            return found | {
                "status": "too_little_data",
                "reason": (
                    f"{table.rows_train} rows to learn from and {table.rows_test} later ones to judge on; "
                    f"{spec.min_train_rows} and {spec.min_test_rows} are needed"
                ),
            }
        uniform = _uniform_labels(spec, table)
        if uniform:
            return found | {"status": "too_little_data", "reason": uniform}
        due = self._due(table, engine)
        if due is None:
            return found | {"status": "unchanged", "reason": None}
        if not due.now:
            return found | {"status": "not_due", "reason": due.reason}
        found |= {"trigger": due.trigger, "why": due.reason}
        leaking = leaks.probe(self.databases, self.primary, self.replica, self.run, spec, table)
        if leaking:
            evidence = {"leaks": [asdict(leak) for leak in leaking]}
            return found | {"status": "blocked", "reason": leaks.reason(leaking), "metrics": evidence}
        return found | self._climb(table, engine)

    def _due(self, table: TrainingTable, engine: str) -> Due | None:
        """Whether it is trained tonight, and why (not). None: the last judged training saw the same rows, and what it
        put into service is there."""
        with self.primary.as_client(self.client_id) as tx:
            last = tx.one("training/last_judged", self.run.values | {"model": self.spec.model})
            champion = champions.read(tx, self.client_id).get(self.spec.model)
        same = lost = False
        new = 0
        if last is not None and champion is not None:
            same = (last["spec_digest"], last["pgml_version"]) == (self.spec.digest, engine)
            with self.replica.as_client(self.client_id) as tx:
                lost = champion.pgml_model_id is not None and not pgml.exists(
                    tx, champion.pgml_model_id, champion.model_name
                )
                new = retraining.new_labels(tx, table.identifier, last["as_of"])
            forced = self.run.request.force_retrain
            if same and not lost and not forced and last["fingerprint"] == table.fingerprint:
                return None
        found = retraining.due(self.run, self.spec, last if champion else None, lost=lost, same=same, new=new)
        return retraining.within_budget(self.primary, self.run.client, found)

    def _climb(self, table: TrainingTable, engine: str) -> dict[str, Any]:
        """Train what did best on earlier data; what cannot be trained is followed by the next."""
        comparison = folds.Comparison(
            self.databases, self.run.client.replica_conn_id, self.client_id, self.project, self.spec, table
        )
        tried = comparison.run(lambda: self.replica, candidates(self.spec, pgml.is_ours(engine)))
        compared = [one.stated(self.spec) for one in tried if one.folds or one.failed]
        attempts = [self._attempt(one.candidate) | {"seconds": 0.0, "error": one.failed} for one in tried if one.failed]
        for one in tried:
            if one.failed:
                continue
            began, attempt = time.monotonic(), self._attempt(one.candidate)
            try:
                trained = self._fit(table, one.candidate)
            except (ForesightError, psycopg.Error) as error:
                if is_away(error):
                    raise
                attempts.append(attempt | {"seconds": time.monotonic() - began, "error": message(error)})
                log.warning(
                    "%s/%s: %s could not be trained: %s",
                    self.run.client.slug,
                    self.spec.model,
                    one.candidate.rung,
                    message(error),
                )
                continue
            attempts.append(attempt | {"seconds": trained.seconds, "pgml_model_id": trained.model_id})
            return {
                "status": "trained",
                "rung": one.candidate.rung,
                "pgml_model_id": trained.model_id,
                "metrics": trained.metrics
                | {
                    "target": one.candidate.target(self.spec),
                    "share": one.candidate.share,
                    "steps": list(one.candidate.steps),
                    "folds": one.folds,
                    "spread": one.spread,
                    "compared": compared,
                    "leaks": [],
                }
                | self._censored(table, trained),
                # For engines without meters: one thread fits, so the time of the call is its processor time, the
                # waiting for others apart.
                "cpu_seconds": float(trained.metrics.get("fit_time") or 0)
                + float(trained.metrics.get("score_time") or 0)
                + sum(other.seconds for other in tried),
                "ladder": attempts,
            }
        reasons = "; ".join(f"{attempt['rung']}: {attempt['error']}" for attempt in attempts)
        return {"status": "failed", "reason": f"no rung could be trained: {reasons}", "ladder": attempts}

    def _censored(self, table: TrainingTable, trained: Trained) -> dict[str, Any]:
        """How the model does on what is not over yet. An entity that has outlived its prediction is an error of at
        least the logarithm of their ratio; of one that has not, nothing is known yet, and it counts as none."""
        if not table.rows_censored:
            return {}
        values = {"as_of": self.run.as_of, "cut_at": table.cut_at}
        with self.replica.as_client(self.client_id) as tx:
            tx.define(statement("training/censored_rows", table=table.identifier), values)
            rows = tx.all("training/censored_answers")
            answers = pgml.predictions(tx, features.scale(self.spec), trained.model_id, "censored", table.feature_names)
        if not rows:
            return {}
        at_least = [row["at_least"] for row in rows]
        simple = [row["simple"] for row in rows]
        return {
            "censored": {
                "rows": len(rows),
                "at_least": folds.at_least_off(at_least, answers),
                "simple_at_least": folds.at_least_off(at_least, simple),
            }
        }

    def _attempt(self, candidate: Candidate) -> dict[str, Any]:
        return {
            "rung": candidate.rung,
            "algorithm": candidate.algorithm,
            "hyperparams": dict(candidate.hyperparams),
            "target": candidate.target(self.spec),
        }

    def _fit(self, table: TrainingTable, candidate: Candidate) -> Trained:
        with self.replica.as_client(self.client_id) as tx:
            features.order(tx, table, candidate.label(features.scale(self.spec)), candidate.name)
        return pgml.train(
            self.databases,
            self.run.client.replica_conn_id,
            self.client_id,
            session=self.replica,
            project=self.project,
            task=self.spec.task,
            relation=table.relation,
            algorithm=candidate.algorithm,
            hyperparams=candidate.hyperparams,
            test_rows=table.rows_test,
            limit=self.spec.fit_seconds,
            label=candidate.name,
        )

    def _open(self) -> dict[str, Any]:
        with self.primary.as_client(self.client_id) as tx:
            return tx.one(
                "training/open",
                self.run.values
                | {
                    "model": self.spec.model,
                    "model_name": self.project,
                    "spec_digest": self.spec.digest,
                    "replica_conn_id": self.run.client.replica_conn_id,
                    "code_version": code_version(),
                    "done": list(DONE),
                },
            )

    def _close(self, model_uuid: UUID, found: Mapping[str, Any]) -> None:
        values = dict.fromkeys(COLUMNS) | dict(found) | {"model_uuid": model_uuid}
        values |= {name: Jsonb(values[name]) for name in ("metrics",) if values[name] is not None}
        values |= {"ladder": Jsonb(values["ladder"] or []), "rows_removed": Jsonb(values["rows_removed"] or {})}
        with self.primary.as_client(self.client_id) as tx:
            tx.run("training/close", values)


def _uniform_labels(spec: ModelSpec, table: TrainingTable) -> str | None:
    """Say why nothing can be learned from labels of which (nearly) all are the same; None when it can."""
    if spec.task == "regression":
        return None if table.varied_train else f"all {table.rows_train} rows to learn from have the same label"
    if min(table.varied_train, table.varied_test) >= LEAST_OF_A_CLASS:
        return None
    return (
        f"too little of one class: {table.varied_train} of {table.rows_train} rows to learn from and "
        f"{table.varied_test} of {table.rows_test} later ones are of the rarer one; {LEAST_OF_A_CLASS} each are needed"
    )


# What a training leaves in its row.
COLUMNS = (
    "status",
    "reason",
    "trigger",
    "why",
    "rung",
    "ladder",
    "pgml_model_id",
    "pgml_version",
    "training_table",
    "fingerprint",
    "feature_names",
    "feature_hash",
    "rows_train",
    "rows_test",
    "rows_removed",
    "cut_at",
    "metrics",
    "seconds",
    "cpu_seconds",
    "peak_bytes",
    "temp_bytes",
    "longest_seconds",
    "longest_statement",
)
