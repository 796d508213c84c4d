"""What a replay has come to, in figures: pure functions over its answers.

Errors are absolute. The simple forecasts here are computed apart from the product's own, from the labels alone: each is
the median of the labels that were known strictly before a row's moment, of all of them or of the last few.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from include.foresight import model_specs
from include.foresight.replay import MODELS, Answer, Replayed

# The simple forecasts that nothing served may be worse than: of how many labels the median is taken (None: of all).
SIMPLE = {"median so far": None, "median of the last 20": 20, "median of the last 50": 50}

# How much worse is no difference: a share of the simple forecast's error, or this many standard errors.
NO_WORSE = 0.01
STANDARD_ERRORS = 2

# The interval that is judged: its coverage may be off by so much, its width is compared with the spread of so many
# labels.
INTERVAL = 80
COVERAGE_OFF = 0.05
SPREAD_LABELS = 200


def simple_forecasts(answers: Sequence[Answer], width: int | None, prior: float) -> np.ndarray:
    """The median of the last `width` labels known strictly before each row's moment; `prior` before the first."""
    return np.array([np.median(known) if len(known) else prior for known in known_labels(answers, width)], dtype=float)


def known_labels(answers: Sequence[Answer], width: int | None) -> Iterator[np.ndarray]:
    """For each row the labels that were known strictly before its moment, or the last `width` of them, in the order in
    which they became known."""
    ordered = sorted(answers, key=lambda one: (one.known_at, one.moment, one.entity_id))
    labels, times = np.array([one.label for one in ordered], dtype=float), [one.known_at for one in ordered]
    for one in answers:
        until = bisect.bisect_left(times, one.moment)
        yield labels[0 if width is None else max(0, until - width) : until]


@dataclass(frozen=True)
class Comparison:
    """What was served beside one simple forecast. `allowed`: how much worse is no difference."""

    name: str
    served: float
    simple: float
    allowed: float

    @property
    def no_worse(self) -> bool:
        return self.served <= self.simple + self.allowed


def compared(name: str, labels: Sequence[float], served: Sequence[float], simple: Sequence[float]) -> Comparison:
    """Mean absolute errors, and the larger of one per cent and two standard errors of the paired difference."""
    truth = np.asarray(labels, dtype=float)
    mine, theirs = np.abs(truth - np.asarray(served)), np.abs(truth - np.asarray(simple))
    error = float((mine - theirs).std(ddof=1) / math.sqrt(len(truth))) if len(truth) > 1 else math.inf
    return Comparison(
        name,
        float(mine.mean()),
        float(theirs.mean()),
        max(NO_WORSE * float(theirs.mean()), STANDARD_ERRORS * error),
    )


def inside(label: float, low: float, high: float) -> float:
    """Whether an interval holds a label; one on its border counts half."""
    if low < label < high:
        return 1.0
    return 0.5 if label in (low, high) else 0.0


@dataclass(frozen=True)
class Coverage:
    """Of the rows that had an interval: the share that it held, how far that may be off, its mean width, and the mean
    width of the central 80 % of the last labels."""

    rows: int
    promised: float
    share: float
    allowed: float
    width: float
    spread: float

    @property
    def holds(self) -> bool:
        return abs(self.share - self.promised) <= self.allowed

    @property
    def narrow(self) -> bool:
        return self.width <= self.spread

    @property
    def ok(self) -> bool:
        return self.holds and self.narrow


def coverage(answers: Sequence[Answer], share: int = INTERVAL) -> Coverage | None:
    """How the `share` % interval did; None when no row had one."""
    tail = (1 - share / 100) / 2
    held, widths, spreads = [], [], []
    for one, known in zip(answers, known_labels(answers, SPREAD_LABELS), strict=True):
        if share not in one.intervals or not len(known):
            continue
        low, high = one.intervals[share]
        held.append(inside(one.label, low, high))
        widths.append(high - low)
        spreads.append(float(np.diff(np.quantile(known, [tail, 1 - tail]))[0]))
    if not held:
        return None
    luck = STANDARD_ERRORS * math.sqrt(share / 100 * (1 - share / 100) / len(held))
    return Coverage(
        len(held),
        share / 100,
        float(np.mean(held)),
        max(COVERAGE_OFF, luck),
        float(np.mean(widths)),
        float(np.mean(spreads)),
    )


@dataclass(frozen=True)
class Promotion:
    """A new model in service. `gain`: how much less than the simple rung it erred on the `rows` that it answered, on
    average, in the label's unit (probabilities: their squared error); None when nothing came up while it served."""

    at: Any
    version: int
    rows: int
    gain: float | None

    @property
    def false(self) -> bool:
        """It was no better than the simple rung on what it answered."""
        return self.gain is not None and self.gain <= 0


def promotions(replayed: Replayed) -> list[Promotion]:
    """Every promotion, judged on all that was asked while the model served."""
    off, found = errors_of(replayed.model), []
    for step in replayed.steps:
        if step.decision != "promote":
            continue
        rows = [one for one in replayed.answers if one.version == step.version and one.rung in MODELS]
        gains = [off(one, one.simple) - off(one, one.served) for one in rows]
        found.append(Promotion(step.as_of, step.version, len(rows), float(np.mean(gains)) if gains else None))
    return found


def errors_of(model: str) -> Callable[[Answer, float], float]:
    """What an answer to a row is off by: absolute, of a probability squared."""
    power = 2 if model_specs.read(model).task == "classification" else 1
    return lambda one, answer: abs(one.label - answer) ** power


def model_share(answers: Sequence[Answer]) -> float:
    """The share of answers that a trained model gave."""
    return sum(one.rung in MODELS for one in answers) / len(answers)


def ranking(answers: Sequence[Answer]) -> dict[str, float | None]:
    """Of a probability: the area under the curve of what was served and of the simple rung, and average precision; None
    where one class is missing."""
    labels = np.array([one.label for one in answers], dtype=float)
    served, simple = (np.array([getattr(one, name) for one in answers], dtype=float) for name in ("served", "simple"))
    return {"auc": area(labels, served), "simple_auc": area(labels, simple), "ap": average_precision(labels, served)}


def area(labels: np.ndarray, given: np.ndarray) -> float | None:
    """Of a row of each class, the chance that the right one was given more; ties count half."""
    from scipy import stats

    bad = labels == 1
    if not bad.any() or bad.all():
        return None
    ranks = stats.rankdata(given)
    return float((ranks[bad].sum() - bad.sum() * (bad.sum() + 1) / 2) / (bad.sum() * (~bad).sum()))


def average_precision(labels: np.ndarray, given: np.ndarray) -> float | None:
    """The mean precision at the rows of class 1, riskiest first; rows that were given the same share theirs."""
    bad = labels == 1
    if not bad.any():
        return None
    values, place = np.unique(-given, return_inverse=True)
    hits = np.cumsum(np.bincount(place, weights=bad, minlength=len(values)))
    seen = np.cumsum(np.bincount(place, minlength=len(values)))
    gained = np.diff(np.concatenate([[0], hits]))
    return float((gained * hits / seen).sum() / bad.sum())
