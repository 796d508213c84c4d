"""What a probability has come to: of rows that were given about as much, the share that came true.

With few rows the model's probabilities are bent by Platt's two numbers, drawn to leaving them as they are; with many,
the isotonic curve says it without a form. Either way the result is a line through knots.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from include.foresight.model_specs import ModelSpec

# From so many rows, and rows of the rarer class, on the isotonic curve has enough in each of its steps.
ISOTONIC_ROWS = 1000
ISOTONIC_OF_EACH = 100
# The weight, in rows, of leaving a probability as it is.
DRAWN = 10.0
KNOTS = 10
EDGE = 1e-4


def learn(spec: ModelSpec, labels: Sequence[float], given: Sequence[float]) -> list[list[float]]:
    """Knots in rising order: what was given, what that comes to, and the ends of the 50 and the 80 % range of the share
    that comes true (Jeffreys, from as many rows as lie about the knot). `labels`: 0 or 1, with the model's probability
    `given` of rows that it has not learned from."""
    from scipy import stats

    truth = np.asarray(labels, dtype=float)
    odds = np.clip(np.asarray(given, dtype=float), EDGE, 1 - EDGE)
    rare = min(truth.sum(), len(truth) - truth.sum()) if len(truth) else 0
    if len(truth) >= ISOTONIC_ROWS and rare >= ISOTONIC_OF_EACH:
        places, shares, rows = _isotonic(truth, odds)
    else:
        places, rows = _about(odds, spec.prior)
        shares = _platt(truth, odds)(places)
    found = []
    for place, share, number in zip(places, shares, rows, strict=True):
        certain = stats.beta(share * number + 0.5, (1 - share) * number + 0.5)
        ends = [float(certain.ppf(level)) for level in (0.25, 0.75, 0.1, 0.9)]
        low_50, high_50, low_80, high_80 = ends
        # Of shares next to nought or one the answer itself may lie outside what the distribution calls central.
        found.append(
            [
                float(place),
                float(share),
                min(low_50, share),
                max(high_50, share),
                min(low_80, share),
                max(high_80, share),
            ]
        )
    return found


def _about(given: np.ndarray, prior: float) -> tuple[np.ndarray, np.ndarray]:
    """Where the knots lie, and how many rows each stands for."""
    if not len(given):
        return np.array([prior]), np.array([DRAWN])
    cuts = np.array_split(np.sort(given), min(KNOTS, len(given)))
    places, inverse = np.unique([float(part.mean()) for part in cuts], return_inverse=True)
    rows = np.bincount(inverse.ravel(), weights=[len(part) for part in cuts])
    if len(places) > 1:
        # The ends of what was given, or a model's strongest words would be taken down to the mean of a tenth.
        places[0], places[-1] = given.min(), given.max()
    return places, rows


def _platt(truth: np.ndarray, given: np.ndarray):
    """Platt's curve: a line on the log-odds, drawn to the diagonal."""
    from scipy import optimize, special

    logits = special.logit(given)

    def loss(line: np.ndarray) -> float:
        slope, shift = line
        off = np.logaddexp(0, -np.where(truth == 1, 1, -1) * (slope * logits + shift)).sum()
        return off + DRAWN * ((slope - 1) ** 2 + shift**2) / 2

    slope, shift = optimize.minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x if len(truth) else (1.0, 0.0)
    # An order that the rows turn round is the gate's to judge, not to be mended here.
    slope = max(float(slope), 0.05)
    return lambda places: special.expit(slope * special.logit(np.clip(places, EDGE, 1 - EDGE)) + float(shift))


def _isotonic(truth: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The steps of the isotonic curve: where each lies, its share, its rows."""
    from scipy import optimize

    order = np.argsort(given, kind="stable")
    curve = optimize.isotonic_regression(truth[order])
    starts = curve.blocks[:-1]
    rows = np.diff(curve.blocks)
    places = np.add.reduceat(given[order], starts) / rows
    shares = curve.x[starts]
    keep = np.concatenate([[True], np.diff(places) > 0])
    return places[keep], np.clip(shares[keep], 0, 1), rows[keep]
