"""How good answers are whose outcome is not known yet.

Of probabilities the order that they promise: were they right, how often would a bad one be ranked below a good one?
Of quantities the errors of what has come true, each weighing as much as there are new answers of its size: larger
answers are further off, so a period of large ones is expected to be worse before the first of them has come true.
Either may be wrong where the world has changed, which is why the truth is drawn beside it when it comes.
"""

from __future__ import annotations

import bisect
import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from include.foresight import gates
from include.foresight.model_specs import ModelSpec
from include.foresight.track_record import LEAST, LEAST_OF_PAIRS, Outcome, Told

# Of what has come true, by the size of the answer. A part is as large as a period has to be.
PARTS = 5


@dataclass(frozen=True)
class Estimate:
    """Of the answers from `start` until the next period; `error`: as the gate measures it, by what was known at its
    end. None: too little was."""

    start: datetime.datetime
    rows: int
    error: float | None


def periods(spec: ModelSpec, told: Sequence[Told], known: Sequence[Outcome], now: datetime.datetime) -> list[Estimate]:
    """By calendar month of the answer, oldest first. Nothing that came after the month (or `now`) enters its estimate,
    so an estimate stays as it is when the truth has come."""
    by_month: dict[datetime.datetime, list[Told]] = {}
    for one in told:
        by_month.setdefault(datetime.datetime(one.as_of.year, one.as_of.month, 1), []).append(one)
    found = []
    for month, answers in sorted(by_month.items()):
        end = min((month + datetime.timedelta(days=32)).replace(day=1), now)
        before = [one for one in known if one.known_at is not None and one.known_at <= end]
        first = min(one.as_of for one in answers)
        found.append(Estimate(first, len(answers), expected(spec, [one.value for one in answers], before)))
    return found


def expected(spec: ModelSpec, answers: Sequence[float], known: Sequence[Outcome]) -> float | None:
    """The error that these answers are expected to have. `known`: outcomes to learn from; probabilities need none."""
    if spec.measure == "auc":
        return _disorder(answers) if len(answers) >= LEAST_OF_PAIRS else None
    if not answers or len(known) < LEAST:
        return None
    given = [one.told.value for one in known]
    off = gates.losses(spec, [one.label for one in known], given)
    if off is None:
        return None
    weights = _weights(given, answers)
    if spec.measure == "mae":
        return float(np.average(off, weights=weights))
    order = np.argsort(off)
    reached = np.cumsum(weights[order])
    return float(off[order][np.searchsorted(reached, reached[-1] / 2)])


def _weights(given: Sequence[float], answers: Sequence[float]) -> np.ndarray:
    """Of each known answer, so that their sizes are spread as those of the new ones."""
    parts = min(PARTS, len(given) // LEAST)
    limits = [float(np.quantile(given, n / parts)) for n in range(1, parts)]
    of_known = np.array([bisect.bisect_right(limits, value) for value in given])
    of_new = np.array([bisect.bisect_right(limits, value) for value in answers])
    known = np.bincount(of_known, minlength=parts)
    new = np.bincount(of_new, minlength=parts)
    if not new[known > 0].any():
        return np.ones(len(given))
    return new[of_known] / known[of_known]


def _disorder(answers: Sequence[float]) -> float | None:
    """One less the area under the curve, were each answer the chance that its row is bad."""
    p = np.clip(np.asarray(answers, dtype=float), 0.0, 1.0)
    values, place = np.unique(p, return_inverse=True)
    bad, good = np.bincount(place, weights=p), np.bincount(place, weights=1 - p)
    # A row is no pair with itself.
    pairs = p.sum() * (1 - p).sum() - (p * (1 - p)).sum()
    if pairs <= 0:
        return None
    below = np.concatenate([[0.0], np.cumsum(good)[:-1]])
    own = np.bincount(place, weights=p * (1 - p), minlength=len(values))
    right = (bad * below).sum() + ((bad * good) - own).sum() / 2
    return float(1 - right / pairs)
