"""What predictions have come to: the first answer that the nights gave about an entity, beside what came true.

The answers are read on the primary, the outcomes on the client's replica, both as the client. Nothing is stored: the
same rows give the same record, and with `as_of` the record that could be known at that moment, whenever it is asked
for.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from include.foresight import gates
from include.foresight.clients import Client
from include.foresight.database import Transaction
from include.foresight.model_specs import ModelSpec

# Enough for a picture; the newest count.
MOST = 5000
READ_SECONDS = 20.0

# A period with fewer outcomes than this has no error of its own. An order takes more rows to show than a distance.
LEAST = 10
LEAST_OF_PAIRS = 30

# The models whose outcomes can be read.
KNOWN = ("complexity", "rework", "trajectory")


@dataclass(frozen=True)
class Told:
    """A first answer. `ranges`: what was told with it (low_80, high_80, p85 ...), empty where nothing was.

    What came of it is looked up by id and key: another entity may have the id by now.
    """

    entity_id: int
    as_of: datetime.datetime
    value: float
    simple: float | None
    ranges: Mapping[str, float]
    entity_key: str | None = None


@dataclass(frozen=True)
class Outcome:
    """`known_at`: when the label came."""

    told: Told
    label: float
    known_at: datetime.datetime | None = None


@dataclass(frozen=True)
class Period:
    """Outcomes of what was told from `start` on, until the next period: errors as the gate measures them."""

    start: datetime.datetime
    rows: int
    served: float | None
    simple: float | None


@dataclass(frozen=True)
class Bin:
    """Probabilities between two limits: how many there were, their mean, and the share that came true."""

    rows: int
    given: float
    true: float


@dataclass(frozen=True)
class Held:
    """How often the outcome was in a range that was told, and how often it ought to be."""

    name: str
    promised: float
    rows: int
    share: float


def told(tx: Transaction, client: Client, spec: ModelSpec, as_of: datetime.datetime | None = None) -> list[Told]:
    """On the primary: first answers (up to a moment), newest first."""
    values = {"client_id": client.client_id, "model": spec.model, "most": MOST, "until": as_of}
    rows = tx.all("track_record/told", values)
    return [Told(**(row | {"ranges": row["ranges"] or {}})) for row in rows]


def outcomes(
    tx: Transaction,
    client: Client,
    spec: ModelSpec,
    answers: Sequence[Told],
    as_of: datetime.datetime | None = None,
) -> list[Outcome]:
    """On the replica: of those whose outcome is known (was, at a moment), oldest first."""
    if not answers or spec.model not in KNOWN:
        return []
    tx.run("track_record/asked")
    columns = {name: [getattr(one, name) for one in answers] for name in ("entity_id", "entity_key", "as_of")}
    tx.run("track_record/ask", columns)
    rows = tx.all(
        {
            "complexity": "track_record/complexity",
            "rework": "track_record/rework",
            "trajectory": "track_record/trajectory",
        }[spec.model],
        dict(spec.settings) | {"client_id": client.client_id},
    )
    found = [
        Outcome(answers[row["position"] - 1], row["label"], row["known_at"])
        for row in rows
        if as_of is None or row["known_at"] <= as_of
    ]
    return sorted(found, key=lambda one: (one.told.as_of, one.told.entity_id))


def error(spec: ModelSpec, rows: Sequence[Outcome], which: str = "value") -> float | None:
    """Of these answers (or of the simple rung's: `which`), as the gate measures it."""
    pairs = [(one.label, getattr(one.told, which)) for one in rows]
    if not pairs or any(answer is None for _, answer in pairs):
        return None
    labels, answers = zip(*pairs, strict=True)
    return gates.metrics(spec, labels, answers)["error"]


def periods(spec: ModelSpec, rows: Sequence[Outcome]) -> list[Period]:
    """By calendar month of the answer. A month with too few outcomes is joined to the next."""
    least = LEAST_OF_PAIRS if spec.measure == "auc" else LEAST
    found: list[Period] = []
    waiting: list[Outcome] = []
    for place, one in enumerate(rows):
        waiting.append(one)
        last = place + 1 == len(rows)
        if len(waiting) < least or not (last or _month(rows[place + 1]) != _month(one)):
            continue
        measured = error(spec, waiting)
        if measured is None and not last:
            continue  # one class alone has no order to get right
        found.append(Period(waiting[0].told.as_of, len(waiting), measured, error(spec, waiting, "simple")))
        waiting = []
    return found


def _month(one: Outcome) -> tuple[int, int]:
    return one.told.as_of.year, one.told.as_of.month


def calibration(rows: Sequence[Outcome], bins: int = 8) -> list[Bin]:
    """Probabilities in bins of as many rows each."""
    ordered = sorted(rows, key=lambda one: one.told.value)
    count = min(bins, len(ordered) // LEAST)
    found = []
    for place in range(count):
        part = ordered[place * len(ordered) // count : (place + 1) * len(ordered) // count]
        found.append(
            Bin(len(part), sum(one.told.value for one in part) / len(part), sum(one.label for one in part) / len(part))
        )
    return found


def coverage(rows: Sequence[Outcome]) -> list[Held]:
    """Of every range that was told of a quantity; an outcome on an end counts half. Of a probability the ranges are of
    the share that comes true, which one outcome says nothing about."""
    given = [one for one in rows if "p85" in one.told.ranges]
    if not given:
        return []

    def inside(one: Outcome, low: str | None, high: str) -> float:
        ends = [one.told.ranges[name] for name in (low, high) if name]
        if one.label in ends:
            return 0.5
        return float((low is None or ends[0] < one.label) and one.label < ends[-1])

    return [
        Held(name, promised, len(given), sum(inside(one, low, high) for one in given) / len(given))
        for name, promised, low, high in (
            ("50 % range", 0.5, "low_50", "high_50"),
            ("80 % range", 0.8, "low_80", "high_80"),
            ("up to P85", 0.85, None, "p85"),
        )
    ]
