"""How sure an answer is: ranges that hold 50 and 80 % of what comes true, the P85, and calibrated probabilities.

Split conformal: the distances between labels and answers on the latest rows that what answered has not learned from,
on the scale of the spec's target. A range is the shortest that holds its level of them and the answer itself. What is
not over yet (open epics) counts with the time that it has lasted at least, by Kaplan and Meier. The level follows what
the rules before have held on the rows that came after them (adaptive conformal inference, Gibbs and Candès 2021), which
also settles what no single range of few-valued labels can. On average a range is hardly ever wider than the central
part of the client's last labels, which needs no model. docs/ranges.md has it at length.

A rule is learned here, once a night, from a few hundred rows. It is applied by ml.ranged on the replica alone.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any
from uuid import UUID

import numpy as np
from psycopg import sql
from psycopg.types.json import Jsonb

from include.foresight import calibration
from include.foresight.database import Transaction
from include.foresight.model_specs import ModelSpec

# In the table ml.ranges: answered by the simple rung.
SIMPLE = UUID(int=0)

# The ranges and the shares that they promise.
P85 = "p85"
PROMISED: Mapping[str, float] = {"50": 0.5, "80": 0.8, P85: 0.85}

# Rows that a rule is learned from: the latest. More would follow a change later, fewer would be luck. Probabilities
# take more to tell.
LATEST = {"regression": 200, "classification": 2000}
# With fewer rows a model keeps the rule that it has.
LEAST = 30

# The labels whose central part limits how wide a range may be, and from how many on that is known.
SPREAD_LABELS = 200
SPREAD_KNOWN = 30
FEW_VALUES = 20
# Made-up distances at the start, from the spec's spread; three rows take the place of one.
MADE_UP = 10
ROWS_PER_MADE_UP = 3

# How far one row moves the level, and how far all rows of a night may.
STEP = 0.02
MOST_STEPS = 10
LEVELS = (0.2, 1.3)
# Beyond this level distances that were seen say no more: the range of this one is stretched, by so much per unit.
SEEN = 0.98
STRETCH = 2.0
# While labels move, a range may be so much wider than their central part: most of the time it is much narrower.
ROOMIER = 1.25

# An end lies this far outside the distance it was learned from, so that a label there is inside whatever the rounding.
ROOM = 1e-6


@dataclass(frozen=True)
class Row:
    """`over` false: what was asked about is not over yet, and `label` is what it is at least. `told`: what the rule so
    far says of the answer, for rows that have become known since."""

    label: float
    answer: float
    known_at: datetime.datetime | None
    over: bool = True
    told: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Known:
    """A rule as it stands."""

    rule: Mapping[str, Any]
    levels: Mapping[str, float]
    as_of: datetime.datetime


@dataclass(frozen=True)
class Learned:
    """`held`: by range, the share of `rows` newer than the rule before that it has held."""

    rule: Mapping[str, Any]
    levels: Mapping[str, float] = field(default_factory=dict)
    held: Mapping[str, float] | None = None
    rows: int = 0


def learn(
    spec: ModelSpec, rows: Sequence[Row], labels: Sequence[float], before: Known | None, *, follows: bool
) -> Learned:
    """A rule from the latest rows. `labels`: the client's last ones, in the order in which they became known.
    `follows`: whether the rule before was of the same answers, so that what came since tells how it did; else its
    levels alone are taken over."""
    latest = sorted((row for row in rows if row.over), key=lambda row: row.known_at)[-LATEST[spec.task] :]
    if spec.task == "classification":
        rule = calibration.learn(spec, [row.label for row in latest], [row.answer for row in latest])
        return Learned({"knots": rule}, rows=len(latest))
    levels = dict(before.levels) if before else dict(PROMISED)
    held = _held(latest) if before and follows else None
    if held:
        levels = {name: _moved(name, levels[name], held[name], int(held["rows"])) for name in PROMISED}
    open_still = [row for row in rows if not row.over]
    sizes, masses = _distances(spec, latest, open_still)
    units, widest = _units(spec, latest), central(labels)
    # What errs by ratios is told by ratios.
    by_ratio = spec.measure == "median_absolute_log_error"
    rule = {
        "scale": "log1p" if spec.target == "log1p" else "identity",
        **{
            name: list(_shortest(sizes, masses, levels[name], units, widest, by_ratio=by_ratio))
            for name in ("50", "80")
        },
        P85: _quantile(sizes, masses, levels[P85]),
        "values": few_values(labels),
        "spread": spread(labels),
    }
    return Learned(rule, levels, held, len(latest))


def central(labels: Sequence[float], share: float = 0.8) -> float | None:
    """How wide the central part of the last labels is, in the label's unit; None while too few are known."""
    last = np.asarray(labels[-SPREAD_LABELS:], dtype=float)
    if len(last) < SPREAD_KNOWN:
        return None
    return float(np.diff(np.quantile(last, [(1 - share) / 2, (1 + share) / 2]))[0])


def spread(labels: Sequence[float], share: float = 0.8) -> float | None:
    """How wide the shortest part of the last labels is that holds this share of them: what a range would be that knows
    nothing but them, to measure confidence by. None while too few are known."""
    last = np.sort(np.asarray(labels[-SPREAD_LABELS:], dtype=float))
    if len(last) < SPREAD_KNOWN:
        return None
    held = math.ceil(share * len(last))
    return float((last[held - 1 :] - last[: len(last) - held + 1]).min())


def few_values(labels: Sequence[float]) -> list[float] | None:
    """The values of the last labels in rising order, where they are few: an end between two of them says no more than
    one on the inner of both. None otherwise, and while too few labels are known."""
    last = labels[-SPREAD_LABELS:]
    found = sorted({float(label) for label in last})
    return found if len(last) >= SPREAD_KNOWN and len(found) <= FEW_VALUES else None


def scaled(spec: ModelSpec, values: Sequence[float]) -> np.ndarray:
    found = np.asarray(values, dtype=float)
    return np.log1p(np.maximum(found, 0)) if spec.target == "log1p" else found


def _distances(spec: ModelSpec, rows: Sequence[Row], open_still: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Distances in rising order and the share of all that lies on each; less than one in all, for a further row may lie
    beyond."""
    from scipy import stats

    found = scaled(spec, [row.label for row in rows]) - scaled(spec, [row.answer for row in rows])
    made_up = max(0, MADE_UP - len(rows) // ROWS_PER_MADE_UP)
    if made_up:
        bell = NormalDist(0, spec.spread)
        found = np.concatenate([found, [bell.inv_cdf((n + 0.5) / made_up) for n in range(made_up)]])
    lasting = scaled(spec, [row.label for row in open_still]) - scaled(spec, [row.answer for row in open_still])
    sample = stats.CensoredData(uncensored=found, right=lasting)
    curve = stats.ecdf(sample).cdf
    masses = np.diff(curve.probabilities, prepend=0.0)
    number = len(found) + len(lasting)
    return np.asarray(curve.quantiles), masses * number / (number + 1)


def _shortest(
    sizes: np.ndarray,
    masses: np.ndarray,
    level: float,
    units: Callable[[np.ndarray], np.ndarray],
    widest: float | None,
    *,
    by_ratio: bool,
) -> tuple[float, float]:
    """The ends of the shortest stretch with this share and nought inside. Where that is wider than allowed, the allowed
    one that holds most; where there is none with this share, all there is. `units`: from distances to the label's unit,
    for a usual answer; shortness is judged there, or `by_ratio` of the ends."""
    if level > SEEN:
        ends = np.array(_shortest(sizes, masses, SEEN, units, widest, by_ratio=by_ratio)) * (
            1 + STRETCH * (level - SEEN)
        )
        if widest is None or np.diff(units(ends))[0] <= _allowed(widest):
            return float(ends[0]), float(ends[1])
        level = SEEN
    upto = np.concatenate([[0.0], np.cumsum(masses)])
    lows, highs = np.minimum(sizes, 0.0), np.maximum(sizes, 0.0)
    share = np.triu(upto[None, 1:] - upto[:-1, None])
    width = units(highs)[None, :] - units(lows)[:, None]
    length = highs[None, :] - lows[:, None] if by_ratio else width
    behind = np.tri(len(sizes), k=-1, dtype=bool)
    fits = (share >= level - 1e-12) & ~behind
    if not fits.any():
        fits = share >= share.max() - 1e-12
    best = _least(length, fits)
    if widest is not None and width[best] > _allowed(widest):
        allowed = (width <= _allowed(widest)) & ~behind
        if allowed.any():
            most = np.where(allowed, share, -1.0).max()
            best = _least(length, allowed & (share >= most - 1e-12))
    return float(lows[best[0]] - ROOM), float(highs[best[1]] + ROOM)


def _least(length: np.ndarray, among: np.ndarray) -> tuple[int, int]:
    first, last = np.unravel_index(int(np.where(among, length, np.inf).argmin()), length.shape)
    return int(first), int(last)


def _allowed(widest: float) -> float:
    """What rounding and the room at the ends add is no width."""
    return ROOMIER * widest + 0.001


def _quantile(sizes: np.ndarray, masses: np.ndarray, level: float) -> float:
    """What this share lies below, and no less than the answer itself."""
    place = min(int(np.searchsorted(np.cumsum(masses), level - 1e-12)), len(sizes) - 1)
    return float(max(sizes[place], 0.0) + ROOM)


def _units(spec: ModelSpec, rows: Sequence[Row]) -> Callable[[np.ndarray], np.ndarray]:
    """From distances to the label's unit, for the mean answer: the width of its range is the mean of all widths."""
    if spec.target != "log1p":
        return lambda distances: distances
    usual = 1 + (float(np.mean([row.answer for row in rows])) if rows else spec.prior)
    return lambda distances: np.maximum(usual * np.exp(distances) - 1, 0.0)


def _held(rows: Sequence[Row]) -> dict[str, float] | None:
    """What the rule before has held of the rows that became known since. It is held to what it told, with all that drew
    it in: a level that did not see that would never make up for it."""
    new = [row for row in rows if row.told is not None]
    if not new:
        return None
    found = {
        name: sum(row.told[f"low_{name}"] <= row.label <= row.told[f"high_{name}"] for row in new) / len(new)
        for name in ("50", "80")
    }
    return found | {P85: sum(row.label <= row.told[P85] for row in new) / len(new), "rows": len(new)}


def _moved(name: str, level: float, held: float, rows: int) -> float:
    steps = max(-MOST_STEPS, min(MOST_STEPS, (PROMISED[name] - held) * rows))
    return float(min(max(level + STEP * steps, LEVELS[0]), LEVELS[1]))


# --- Kept on the primary, applied on the replica


def labelled(tx: Transaction, spec: ModelSpec, table: sql.Identifier, as_of: datetime.datetime) -> list[Row]:
    """The simple rung's answers in a training table, on the replica: the latest labels, and what is not over yet."""
    rows = tx.all("ranges/labelled", {"most": LATEST[spec.task]}, table=table)
    found = [Row(row["label"], row["answer"], row["known_at"]) for row in rows]
    if rows:
        since = min(row["moment"] for row in rows)
        open_still = tx.all("ranges/open_still", {"as_of": as_of, "since": since}, table=table)
        found += [Row(row["label"], row["answer"], None, over=False) for row in open_still]
    return found


def known(tx: Transaction, client_id: int, model: str) -> dict[UUID, Known]:
    """By who answered. On the primary, or on the replica from its own copy."""
    rows = tx.all("ranges/known", {"client_id": client_id, "model": model})
    return {row["answered_by"]: Known(row["rule"], row["levels"], row["as_of"]) for row in rows}


def recall(
    tx: Transaction, client_id: int, spec: ModelSpec, answered: Mapping[UUID, Sequence[Row]]
) -> dict[UUID, list[Row]]:
    """The rows with what the rules so far tell of those that have become known since; on the replica."""
    found = {answered_by: list(rows) for answered_by, rows in answered.items()}
    if spec.task == "classification":
        return found
    for answered_by, before in known(tx, client_id, spec.model).items():
        rows = found.get(answered_by, [])
        new = [place for place, row in enumerate(rows) if row.over and row.known_at > before.as_of]
        told = of_answers(tx, before.rule, [rows[place].answer for place in new])
        for place, said in zip(new, told, strict=True):
            rows[place] = replace(rows[place], told=said)
    return found


def keep(
    tx: Transaction, client_id: int, model: str, answered_by: UUID, learned: Learned, run: Mapping[str, Any]
) -> None:
    """`run`: run_id and as_of."""
    tx.run(
        "ranges/keep",
        {
            "client_id": client_id,
            "model": model,
            "answered_by": answered_by,
            "rule": Jsonb(learned.rule),
            "levels": Jsonb(dict(learned.levels)),
            "held": Jsonb(learned.held) if learned.held else None,
            "rows_learned": learned.rows,
            "as_of": run["as_of"],
            "run_id": run["run_id"],
        },
    )


def forget(tx: Transaction, client_id: int, model: str, kept: int) -> None:
    """All but those of the simple rung and of the last `kept` champions that were models."""
    tx.run("ranges/forget", {"client_id": client_id, "model": model, "simple": SIMPLE, "kept": kept})


def current(tx: Transaction, client_id: int, model: str) -> Mapping[str, Any] | None:
    """The rule of what serves, None where there is none yet."""
    row = tx.one("ranges/current", {"client_id": client_id, "model": model, "simple": SIMPLE})
    return row["rule"] if row else None


def of_answers(tx: Transaction, rule: Mapping[str, Any], answers: Sequence[float]) -> list[Mapping[str, float]]:
    """What a rule says of answers: {"low_80": ..., "high_80": ..., "p85": ...} and so on; on the replica."""
    rows = tx.all("ranges/of_answers", {"rule": Jsonb(dict(rule)), "answers": list(answers)})
    return [row["ranges"] for row in rows]
