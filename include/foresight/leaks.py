"""The leak probe: does a feature know what was not known at its moment?

It looks at values, never at names. Four signs, each enough to keep a model from being trained:

- `power`: on later rows one feature alone orders the labels almost as well as the labels themselves could, and it is
  another one where the label is not known yet. (An honest feature may tell all; then it also does so beforehand.)
- `changed`: what an earlier night told the model of an entity is not what the same statement gives for that night now
  that the label is known, and the difference goes with the label, or most entities have one.
- `constant`: it varies among entities with a known label and is one and the same for all that are to be predicted.
- `moment`: a row to learn from is not what is scored as of its moment.

A sign of the second kind needs a night before; the others do not. `accepted` features of a spec (values that the
platform keeps no history of) may change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import psycopg

from include.foresight import features, guard
from include.foresight.database import Databases, Session, Transaction
from include.foresight.errors import ForesightError
from include.foresight.features import TrainingTable
from include.foresight.model_specs import ModelSpec
from include.foresight.runs import Run

POWER, CHANGED, CONSTANT, MOMENT = "power", "changed", "constant", "moment"

# Rows that are looked at, earlier nights that are compared, and moments at which rows are scored again.
ROWS = 1500
NIGHTS = 3
MOMENTS = 2
COMPANIONS = 25

SCORE_SECONDS = 300.0

# Fewer rows than these say nothing.
FEWEST = 20
FEWEST_FOR_POWER = 40
FEWEST_CHANGED = 8

# Of the order that the labels themselves allow: what one honest feature does not reach.
RANK_POWER = 0.9
AUC_POWER = 0.93

# A change is one when it is that share of the feature's spread; so many entities must have one ...
SMALL = 0.05
SOME, MOST = 0.2, 0.5
# ... and it goes with the label by less than this chance, shared by the features that have changed.
CHANCE = 0.01
# An informative feature: its order goes with the label's by no more chance than that.
INFORMED = 0.001

# The part of one value among the entities to predict, and at most among those with a label.
SAME, VARIED = 0.98, 0.5


MISSING = -1e9


@dataclass(frozen=True)
class Leak:
    """`evidence`: what was seen, with the figures."""

    feature: str
    kind: str
    evidence: str


@dataclass(frozen=True)
class _Rows:
    """Of entities: their features as a matrix, one column per feature."""

    entity_ids: list[int]
    values: np.ndarray

    def of(self, entity_ids: Sequence[int]) -> np.ndarray:
        places = {entity_id: place for place, entity_id in enumerate(self.entity_ids)}
        return self.values[[places[entity_id] for entity_id in entity_ids]]


def probe(
    databases: Databases, primary: Session, replica: Session, run: Run, spec: ModelSpec, table: TrainingTable
) -> list[Leak]:
    """Every feature that gives itself away, with the first sign of it; in the order of the features."""
    probe = _Probe(databases, primary, replica, run, spec, table)
    found: dict[str, Leak] = {}
    for leak in [*probe.power(), *probe.at_their_moment(), *probe.changed()]:
        if leak.kind == MOMENT or leak.feature not in spec.accepted:
            found.setdefault(leak.feature, leak)
    return [found[name] for name in table.feature_names if name in found]


def reason(leaks: Sequence[Leak]) -> str:
    """Why a model is not trained."""
    told = "; ".join(leak.evidence for leak in leaks[:5])
    more = f"; and {len(leaks) - 5} more features" if len(leaks) > 5 else ""
    return f"features know what was not known at their moment, so nothing was trained: {told}{more}"


class _Probe:
    def __init__(
        self,
        databases: Databases,
        primary: Session,
        replica: Session,
        run: Run,
        spec: ModelSpec,
        table: TrainingTable,
    ) -> None:
        self.databases, self.primary, self.replica = databases, primary, replica
        self.run, self.spec, self.table = run, spec, table
        self.client_id = run.client.client_id
        self.names = table.feature_names
        with replica.as_client(self.client_id) as tx:
            self.rows = tx.all(
                "leaks/labelled_rows",
                {"rows": ROWS},
                table=table.identifier,
                features=features.listed(self.names),
            )
        self.values = _matrix([row["features"] for row in self.rows], len(self.names))
        self.labels = np.array([row["label"] for row in self.rows], dtype=float)
        self.judged = np.array([row["part"] == "test" for row in self.rows], dtype=bool)

    @cached_property
    def now(self) -> np.ndarray:
        """The features of what is to be predicted."""
        return self._on_copies(lambda tx: self._score(tx, self.run.as_of, None)).values

    # --- One feature alone

    def power(self) -> list[Leak]:
        from scipy import stats

        values, labels = self.values[self.judged], self.labels[self.judged]
        if len(labels) < FEWEST_FOR_POWER or len(self.now) < FEWEST:
            return []
        if self.spec.task == "classification":
            shares, limit, what = _areas(values, labels), AUC_POWER, "of pairs in the right order"
        else:
            shares = np.abs(_rank_correlations(values, labels)) / max(_allowed(labels), 1e-9)
            limit, what = RANK_POWER, "of the order that their labels allow"
        found = []
        for column in np.flatnonzero(shares >= limit):
            chance = stats.ks_2samp(self.now[:, column], values[:, column]).pvalue
            if chance < INFORMED:
                name = self.names[column]
                evidence = (
                    f"{name} alone puts {len(labels)} later rows in {min(shares[column], 1):.0%} {what}, and is "
                    f"another one in the {len(self.now)} rows to predict"
                )
                found.append(Leak(name, POWER, evidence))
        return found

    # --- As of the moment, and among those that are open

    def at_their_moment(self) -> list[Leak]:
        """A few rows to learn from are scored as of their moments, each with some others for company."""
        chosen = self._chosen()
        if not chosen:
            return []
        different = np.zeros(len(self.names), dtype=int)
        compared, crowds = 0, []
        every = list(dict.fromkeys(row["entity_id"] for row in self.rows))
        for place in chosen:
            row = self.rows[place]
            begun = [other["entity_id"] for other in self.rows[place:]]
            crowd = list(dict.fromkeys([row["entity_id"], *begun]))[:COMPANIONS]
            scored = self._scored(row["moment"], crowd)
            crowds.append(scored.values)
            if row["entity_id"] in scored.entity_ids:
                compared += 1
                different += ~_close(scored.of([row["entity_id"]])[0], self.values[place])
        found = []
        for name, times in zip(self.names, different, strict=True):
            if times >= 2:
                evidence = f"{name} is another in {times} of {compared} rows when they are scored as of their moment"
                found.append(Leak(name, MOMENT, evidence))
        return found + self._constant(crowds, len(every))

    def _chosen(self) -> list[int]:
        """Rows of the judged part at different moments, from its first third on."""
        places = np.flatnonzero(self.judged)
        if len(places) < FEWEST:
            return []
        return [int(places[int(len(places) * share)]) for share in np.linspace(0.2, 0.6, MOMENTS)]

    def _constant(self, crowds: Sequence[np.ndarray], known: int) -> list[Leak]:
        """Values that all open entities share, and that entities with a label do not share at one moment."""
        from scipy import stats

        now = self.now
        if len(now) < FEWEST or known < FEWEST:
            return []
        found = []
        for column, name in enumerate(self.names):
            values, counts = np.unique(now[:, column], return_counts=True)
            usual, share = values[counts.argmax()], counts.max() / len(now)
            if share < SAME or np.ptp(self.values[:, column]) == 0:
                continue
            among = [np.mean(crowd[:, column] == usual) for crowd in crowds if len(crowd) >= FEWEST]
            varied = [np.ptp(crowd[:, column]) > 0 for crowd in crowds if len(crowd) >= FEWEST]
            if not among or not all(varied) or np.mean(among) > VARIED:
                continue
            chance = stats.spearmanr(self.values[:, column], self.labels).pvalue
            if chance < INFORMED:
                evidence = (
                    f"{name} is {usual:g} in {share:.0%} of the {len(now)} rows to predict, and in "
                    f"{np.mean(among):.0%} of those whose label is known"
                )
                found.append(Leak(name, CONSTANT, evidence))
        return found

    # --- What earlier nights saw

    def changed(self) -> list[Leak]:
        # Of an entity with several rows the first, in which all of it is still to come.
        labels = {row["entity_id"]: row["label"] for row in self.rows}
        keys = {row["entity_id"]: row["entity_key"] for row in self.rows}
        with self.primary.as_client(self.client_id) as tx:
            logged = tx.all(
                "leaks/logged",
                self.run.values
                | {
                    "model": self.spec.model,
                    "feature_hash": self.table.feature_hash,
                    "spec_digest": self.spec.digest,
                    "entity_ids": list(keys),
                    "entity_keys": list(keys.values()),
                    "nights": NIGHTS,
                },
            )
        changes, truths = [], []
        for as_of in dict.fromkeys(row["as_of"] for row in logged):
            night = {row["entity_id"]: row["input_features"] for row in logged if row["as_of"] == as_of}
            with self.primary.as_client(self.client_id) as tx:
                later = tx.all(
                    "leaks/open_then",
                    {"client_id": self.client_id, "model": self.spec.model, "as_of": as_of},
                )
            scored = self._scored(as_of, list(night), unknown=later)
            told = _matrix([[night[one][name] for name in self.names] for one in scored.entity_ids], len(self.names))
            if len(told) < 2:
                continue
            difference = scored.values - told
            # What came in late may shift a history that all entities of a moment share; a leak is an entity's own.
            shared = (np.ptp(told, axis=0) == 0) & (np.ptp(scored.values, axis=0) == 0)
            changes.append(np.where(shared, 0, difference))
            truths += [labels[one] for one in scored.entity_ids]
        if len(truths) < FEWEST_CHANGED:
            return []
        return self._telling(np.concatenate(changes), np.array(truths))

    def _telling(self, changes: np.ndarray, labels: np.ndarray) -> list[Leak]:
        from scipy import stats

        spread = np.maximum(self.values.std(axis=0), 1e-12)
        shares = (np.abs(changes) > SMALL * spread).mean(axis=0)
        suspects = np.flatnonzero(shares >= SOME)
        found = []
        for column in suspects:
            name, share = self.names[column], shares[column]
            chance = 1.0
            if np.ptp(labels) > 0 and np.ptp(changes[:, column]) > 0:
                chance = stats.spearmanr(changes[:, column], labels).pvalue
            if share < MOST and not chance < CHANCE / len(suspects):
                continue
            evidence = f"{name} has changed since an earlier night in {share:.0%} of {len(labels)} rows"
            if chance < CHANCE / len(suspects):
                evidence += ", in step with what became of them"
            found.append(Leak(str(name), CHANGED, evidence))
        return found

    def _scored(self, as_of: Any, entity_ids: Sequence[int], *, unknown: Sequence[Mapping[str, Any]] = ()) -> _Rows:
        """These entities scored as of a moment, with the labels of the `unknown` ones out of every history.

        `unknown`: entity_id and entity_key.
        """

        def score(tx: Transaction) -> _Rows:
            with tx.savepoint():
                if unknown:
                    values = self.run.values | {"entity": self.spec.entity}
                    values |= {f"entity_{part}s": [row[f"entity_{part}"] for row in unknown] for part in ("id", "key")}
                    tx.run("leaks/set_aside", values, source=features.SOURCES[self.spec.entity])
                found = self._score(tx, as_of, entity_ids)
                raise psycopg.Rollback
            return found

        return self._on_copies(score)

    def _on_copies(self, body: Callable[[Transaction], _Rows]) -> _Rows:
        return guard.on_copies(self.databases, self.run.client, self.replica, body, timeout=SCORE_SECONDS)

    def _score(self, tx: Transaction, as_of: Any, entity_ids: Sequence[int] | None) -> _Rows:
        names = features.score(tx, self.spec, self.client_id, as_of, entity_ids)
        if names != self.names:
            raise ForesightError(f"model '{self.spec.model}': rows to learn from and to predict differ in features")
        rows = tx.all("leaks/scored_rows", features=features.listed(names))
        values = _matrix([row["features"] for row in rows], len(names))
        return _Rows([row["entity_id"] for row in rows], values)


def _matrix(rows: Sequence[Sequence[float | None]], width: int) -> np.ndarray:
    """Rows x features; a value that is missing is one that no feature has."""
    return np.nan_to_num(np.array(rows, dtype=float).reshape(-1, width), nan=MISSING)


def _close(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.isclose(one, other, rtol=1e-9, atol=1e-9)


def _rank_correlations(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Spearman's with each column; 0 for a column without spread."""
    from scipy import stats

    ranks = stats.rankdata(values, axis=0)
    ranks, truth = ranks - ranks.mean(axis=0), stats.rankdata(labels)
    truth = truth - truth.mean()
    sizes = np.sqrt((ranks**2).sum(axis=0) * (truth**2).sum())
    return np.divide(truth @ ranks, sizes, out=np.zeros(values.shape[1]), where=sizes > 0)


def _areas(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of each column the share of pairs of two classes that it orders, either way round; 0 where there are too few."""
    from scipy import stats

    bad = labels == 1
    if min(bad.sum(), (~bad).sum()) < 5:
        return np.zeros(values.shape[1])
    ranks = stats.rankdata(values, axis=0)
    shares = (ranks[bad].mean(axis=0) - (bad.sum() + 1) / 2) / (~bad).sum()
    return np.maximum(shares, 1 - shares)


def _allowed(labels: np.ndarray) -> float:
    """The rank correlation of a feature without ties that orders the labels as well as their ties allow."""
    count = len(labels)
    ties = np.unique(labels, return_counts=True)[1].astype(float)
    return float(np.sqrt(1 - (ties**3 - ties).sum() / (count**3 - count)))
