"""Which way of learning would have done best: tried on the training rows alone, cut in time.

Each fold learns from what was known at its cut and is judged on the rows after it. The run's own last rows, on which
the gate judges, stay out of it.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from include.foresight import features, gates, names, pgml
from include.foresight.database import Databases, Session, Transaction, is_away, message
from include.foresight.errors import ForesightError
from include.foresight.features import TrainingTable
from include.foresight.model_specs import ModelSpec
from include.foresight.pgml import Scale
from include.foresight.sql import statement

log = logging.getLogger(__name__)

# Where the training rows are cut: the later ones tell most about the night after.
CUTS = (0.6, 0.8)

# How much of what a model has to say beyond the simple rung is believed.
SHARES = (1.0, 0.75, 0.5, 0.25)
SHARE_WITHOUT_FOLDS = 0.5

# A label has few values when those of at least that share of the rows make up nearly all of them.
LEAST_OF_VALUE = 0.005
COVERED = 0.95


@dataclass(frozen=True)
class Candidate:
    """A way of learning. `relative`: the label is learned relative to the simple rung, and `share` of it believed; then
    `steps` are the values that answers are taken to, empty: any."""

    rung: str
    algorithm: str
    hyperparams: Mapping[str, Any]
    relative: bool = False
    share: float = 1.0
    steps: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """What the label is called when it is learned so."""
        return pgml.relative_name(self.steps) or pgml.RELATIVE if self.relative else pgml.LABEL

    def taken(self, simple: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """The answers of a model of the whole ratio as this candidate would have given them."""
        if self.share != 1:
            answers = (1 + simple) * ((1 + answers) / (1 + simple)) ** self.share - 1
        if self.steps:
            steps = np.array(self.steps)
            answers = steps[np.abs(np.log1p(steps) - np.log1p(answers)[:, None]).argmin(axis=1)]
        return answers

    def label(self, scale: Scale) -> sql.Composable:
        return scale.relative_label(self.share) if self.relative else scale.label

    def target(self, spec: ModelSpec) -> str:
        return pgml.RELATIVE if self.relative else spec.target


@dataclass
class Tried:
    """How a candidate did. `folds`: {rows, error, simple} of each; `failed`: why it could not be trained."""

    candidate: Candidate
    folds: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    failed: str | None = None

    @property
    def error(self) -> float:
        """The mean over the folds, each weighing as many rows as it has."""
        rows = sum(fold["rows"] for fold in self.folds)
        return sum(fold["rows"] * fold["error"] for fold in self.folds) / rows

    @property
    def spread(self) -> float | None:
        errors = [fold["error"] for fold in self.folds]
        return statistics.stdev(errors) if len(errors) > 1 else None

    def stated(self, spec: ModelSpec) -> dict[str, Any]:
        one = self.candidate
        found: dict[str, Any] = {"rung": one.rung, "algorithm": one.algorithm, "target": one.target(spec)}
        if self.failed is not None:
            return found | {"failed": self.failed}
        return found | {
            "share": one.share,
            "steps": list(one.steps),
            "error": self.error,
            "spread": self.spread,
            "seconds": self.seconds,
            "folds": self.folds,
        }


@dataclass(frozen=True)
class Fold:
    """Rows known at `after` are learned from; the `judged` rows from there to `until` are judged on. `labels_learned`,
    `labels_judged`: how many different labels they have."""

    after: Any
    until: Any
    learned: int
    judged: int
    labels_learned: int
    labels_judged: int

    def usable(self, spec: ModelSpec) -> bool:
        """Whether a model can learn and be measured here: one label teaches nothing, and one class has no order."""
        enough = 2 * self.learned >= spec.min_train_rows and self.judged >= spec.min_test_rows
        return enough and self.labels_learned > 1 and (spec.task == "regression" or self.labels_judged > 1)


def cut(tx: Transaction, spec: ModelSpec, table: TrainingTable) -> list[Fold]:
    """The folds of a training table that tell something: with half as many rows to learn from as a training needs."""
    found = [Fold(**row) for row in tx.all("folds/cuts", {"shares": list(CUTS)}, table=table.identifier)]
    return [fold for fold in found if fold.usable(spec)]


def few_values(tx: Transaction, spec: ModelSpec, table: TrainingTable) -> tuple[float, ...]:
    """The values that nearly all labels have; empty where they are not few, or the error is not one of values."""
    if spec.measure != "mae":
        return ()
    rows = tx.all("folds/values", {"least": LEAST_OF_VALUE}, table=table.identifier)
    steps = tuple(row["label"] for row in rows)
    covered = sum(row["share"] for row in rows)
    return steps if covered >= COVERED and len(steps) > 1 and pgml.relative_name(steps) else ()


def at_least_off(at_least: Sequence[float], answers: Sequence[float]) -> float:
    """The mean error on the log scale that is certain already, of durations that are not over: none where the answer is
    longer than what has passed."""
    passed, given = (np.log(np.maximum(np.asarray(one, dtype=float), 1)) for one in (at_least, answers))
    return float(np.maximum(passed - given, 0).mean())


@dataclass(frozen=True)
class Comparison:
    """Tries candidates on the replica; models that were only compared are dropped. `run` asks for the session each
    time: one is ended with a fit that hangs."""

    databases: Databases
    conn_id: str
    client_id: int
    project: str
    spec: ModelSpec
    table: TrainingTable

    def run(self, session: Callable[[], Session], candidates: Sequence[Candidate]) -> list[Tried]:
        """Every candidate, best first; those that failed last. Without folds: in their order, with none."""
        with session().as_client(self.client_id) as tx:
            folds, steps = cut(tx, self.spec, self.table), few_values(tx, self.spec, self.table)
        if not folds:
            share = {True: SHARE_WITHOUT_FOLDS, False: 1.0}
            return [Tried(replace(one, share=share[one.relative])) for one in candidates]
        tried = [self._try(session, one, folds, steps) for one in candidates]
        return sorted(tried, key=lambda one: (one.failed is not None, one.error if one.failed is None else 0))

    def _try(
        self, session: Callable[[], Session], candidate: Candidate, folds: Sequence[Fold], steps: tuple[float, ...]
    ) -> Tried:
        began, given = time.monotonic(), []
        try:
            given = [self._answers(session(), candidate, fold) for fold in folds]
        except (ForesightError, psycopg.Error) as error:
            if is_away(error):
                raise
            log.warning("client %s, model '%s': %s: %s", self.client_id, self.spec.model, candidate, message(error))
            return Tried(candidate, failed=message(error))
        seconds = time.monotonic() - began
        found = [
            Tried(way, [self._judged(way, *one) for one in given], seconds) for way in self._taken(candidate, steps)
        ]
        if any(fold["error"] is None for one in found for fold in one.folds):
            return Tried(candidate, failed=f"{self.spec.measure} cannot be measured on the folds")
        return min(found, key=lambda one: one.error)

    def _taken(self, candidate: Candidate, steps: tuple[float, ...]) -> list[Candidate]:
        """Ways of taking the same model's answers."""
        if not candidate.relative:
            return [candidate]
        ways: list[tuple[float, ...]] = [(), steps] if steps else [()]
        return [replace(candidate, share=share, steps=way) for way in ways for share in SHARES]

    def _judged(
        self, candidate: Candidate, labels: np.ndarray, simple: np.ndarray, answers: np.ndarray
    ) -> dict[str, Any]:
        mine, theirs = (
            gates.metrics(self.spec, labels, one)["error"] for one in (candidate.taken(simple, answers), simple)
        )
        return {"rows": len(labels), "error": mine, "simple": theirs}

    def _answers(self, session: Session, candidate: Candidate, fold: Fold) -> tuple[np.ndarray, ...]:
        """Labels, the simple rung's answers, and those of a model that has learned before the fold."""
        scale = features.scale(self.spec)
        relation = names.fold_view(self.table.name)
        view = sql.Identifier(self.table.schema, relation)
        moments = {"after": fold.after, "until": fold.until}
        with session.as_client(self.client_id) as tx:
            tx.run("folds/drop", view=view)
            tx.define(
                statement(
                    "folds/order",
                    table=self.table.identifier,
                    view=view,
                    label=candidate.label(scale),
                    name=candidate.name,
                    features=features.listed(self.table.feature_names),
                ),
                moments,
            )
        trained = pgml.train(
            self.databases,
            self.conn_id,
            self.client_id,
            session=session,
            project=self.project,
            task=self.spec.task,
            relation=f"{self.table.schema}.{relation}",
            algorithm=candidate.algorithm,
            hyperparams=candidate.hyperparams,
            test_rows=fold.judged,
            limit=self.spec.fit_seconds,
            label=candidate.name,
        )
        try:
            with session.as_client(self.client_id) as tx:
                tx.run("folds/judged_rows", moments, table=self.table.identifier)
                rows = tx.all("folds/labels")
                answers = pgml.predictions(tx, scale, trained.model_id, "of_fold", self.table.feature_names)
                tx.run("folds/drop", view=view)
        finally:
            with session.as_client(self.client_id) as tx:
                pgml.drop(tx, [trained.model_id])
        labels, simple = (np.array([row[name] for row in rows], dtype=float) for name in ("label", "simple"))
        return labels, simple, np.array(answers, dtype=float)
