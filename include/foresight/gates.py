"""The gate: is the new model good enough, and better than what serves? Pure functions over the same later rows.

Absolute bounds from the spec, never worse than the simple rung, better than the champion by a margin. A champion that
fails on today's rows gives way to the simple rung.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from include.foresight.model_specs import ModelSpec

# A retraining that is this little better than the champion is luck more often than not.
MARGIN = 0.01

PROMOTE, KEEP, DEMOTE = "promote", "keep", "demote"


@dataclass(frozen=True)
class Criterion:
    """One question of the gate. `observed` None: it could not be measured, which is a no."""

    name: str
    passed: bool
    observed: float | None
    threshold: float | None
    reason: str


@dataclass(frozen=True)
class Verdict:
    """`scores`: metrics by who was judged (challenger, champion, simple); each has `error`, where less is better."""

    passed: bool
    decision: str
    criteria: tuple[Criterion, ...]
    scores: dict[str, dict[str, float | None]]
    rows_judged: int
    sentence: str

    def stated(self) -> list[dict[str, Any]]:
        return [asdict(criterion) for criterion in self.criteria]


@dataclass(frozen=True)
class Judged:
    """Labels and answers of the same rows, in the order of time. `champion` None: none serves with a model that could
    be asked."""

    labels: Sequence[float]
    simple: Sequence[float]
    challenger: Sequence[float]
    champion: Sequence[float] | None = None


def judge(spec: ModelSpec, rows: Judged, *, served_by: str | None) -> Verdict:
    """Compare challenger, champion and simple rung. `served_by`: the rung in service, None when there is none yet."""
    scores = {
        "challenger": metrics(spec, rows.labels, rows.challenger),
        "simple": metrics(spec, rows.labels, rows.simple),
    }
    criteria = [_enough(spec, len(rows.labels)), *_fitness(spec, "challenger", scores)]
    passed = all(criterion.passed for criterion in criteria)
    champion_fit = False
    # Rows that tell nothing (one class only, too few left after both cuts) say nothing against what serves either.
    unmeasured = rows.champion is not None and (not criteria[0].passed or scores["simple"]["error"] is None)
    if rows.champion is not None:
        scores["champion"] = metrics(spec, rows.labels, rows.champion)
        champion_fit = all(criterion.passed for criterion in _fitness(spec, "champion", scores))
    if passed and champion_fit:
        better = _better(scores)
        criteria.append(better)
        decision = PROMOTE if better.passed else KEEP
    elif passed:
        decision = PROMOTE
    elif champion_fit or served_by == "recent" or unmeasured:
        decision = KEEP
    else:
        decision = DEMOTE
    return Verdict(
        passed=all(criterion.passed for criterion in criteria),
        decision=decision,
        criteria=tuple(criteria),
        scores=scores,
        rows_judged=len(rows.labels),
        sentence=_sentence(spec, decision, scores, criteria, champion_fit or unmeasured, len(rows.labels)),
    )


def _enough(spec: ModelSpec, rows: int) -> Criterion:
    """Fewer are left than a training asks for when the champion has learned from some of them."""
    fit = rows >= spec.min_test_rows
    reason = f"{rows} later rows, {spec.min_test_rows} are needed"
    return Criterion("enough rows", fit, float(rows), float(spec.min_test_rows), reason)


def _fitness(spec: ModelSpec, who: str, scores: Mapping[str, Mapping[str, float | None]]) -> list[Criterion]:
    """The bounds, and never worse than the simple rung."""
    found = [_bound(spec, name, limit, scores[who]) for name, limit in spec.bounds.items()]
    error, simple = scores[who]["error"], scores["simple"]["error"]
    fit = error is not None and simple is not None and error <= simple
    if error is None or simple is None:
        reason = f"{spec.measure} cannot be measured on these rows"
    else:
        reason = (
            f"error {error:.4g} {'is no more than' if fit else 'is above'} that of {spec.simple_name}, {simple:.4g}"
        )
    return [*found, Criterion("no worse than the simple rung", fit, error, simple, reason)]


def _bound(spec: ModelSpec, name: str, limit: float, own: Mapping[str, float | None]) -> Criterion:
    observed = own.get(name)
    at_least = name in MORE_IS_BETTER
    fit = observed is not None and (observed >= limit if at_least else observed <= limit)
    rule = f"{name} must be {'at least' if at_least else 'at most'} {limit:g}"
    reason = (
        f"{rule}, and is {observed:.4g}" if observed is not None else f"{rule}, and cannot be measured on these rows"
    )
    return Criterion(f"{name} bound", fit, observed, limit, reason)


def _better(scores: Mapping[str, Mapping[str, float | None]]) -> Criterion:
    error, limit = scores["challenger"]["error"], scores["champion"]["error"] * (1 - MARGIN)
    fit = error < limit
    return Criterion(
        "better than the champion",
        fit,
        error,
        limit,
        f"error {error:.4g} {'beats' if fit else 'does not beat'} the champion's {scores['champion']['error']:.4g} by "
        f"{MARGIN:.0%}",
    )


def _sentence(
    spec: ModelSpec,
    decision: str,
    scores: Mapping[str, Mapping[str, float | None]],
    criteria: Sequence[Criterion],
    champion_stays: bool,
    rows: int,
) -> str:
    """What a manager reads."""
    new, simple = _said(spec, scores["challenger"]["error"]), _said(spec, scores["simple"]["error"])
    compared = (
        f"On the last {rows} {spec.entity.replace('_', ' ')} rows the new model {new}, {spec.simple_name} {simple}"
    )
    if decision == PROMOTE:
        return f"{compared}: the new model serves."
    if champion_stays:
        old = _said(spec, scores["champion"]["error"])
        return f"{compared}, the model in service {old}: the model in service stays."
    failed = "; ".join(criterion.reason for criterion in criteria if not criterion.passed)
    return f"{compared}. {spec.simple_name.capitalize()} serves, because {failed}."


def _said(spec: ModelSpec, error: float | None) -> str:
    if error is None:
        return "cannot be measured"
    match spec.measure:
        case "mae":
            return f"is off by {error:.2f} {spec.unit} on average"
        case "median_absolute_log_error":
            return f"is typically off by a factor of {math.exp(error):.2f}"
        case _:
            return f"puts {1 - error:.0%} of pairs in the right order"


def metrics(spec: ModelSpec, labels: Sequence[float], answers: Sequence[float]) -> dict[str, float | None]:
    """Every metric of the task, and `error`: the spec's measure, turned so that less is better. None: not defined, as
    all are where an answer is no number: a median or a rank would pass over it."""
    truth, given = np.asarray(labels, dtype=float), np.asarray(answers, dtype=float)
    if not (np.isfinite(truth).all() and np.isfinite(given).all()):
        return dict.fromkeys([*METRICS[spec.task], "error"])
    found = {name: _number(function(truth, given)) for name, function in METRICS[spec.task].items()}
    value = found[spec.measure]
    if value is None:
        return found | {"error": None}
    return found | {"error": 1 - value if spec.measure in MORE_IS_BETTER else value}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _mae(truth: np.ndarray, given: np.ndarray) -> float:
    return np.abs(truth - given).mean() if len(truth) else math.nan


def _median_absolute_error(truth: np.ndarray, given: np.ndarray) -> float:
    return np.median(np.abs(truth - given)) if len(truth) else math.nan


def _median_absolute_log_error(truth: np.ndarray, given: np.ndarray) -> float:
    """Of positive quantities; what is below one counts as one, or a single zero would decide."""
    if not len(truth):
        return math.nan
    return np.median(np.abs(np.log(np.maximum(truth, 1)) - np.log(np.maximum(given, 1))))


def _auc(truth: np.ndarray, given: np.ndarray) -> float:
    # Imported here: half a second that every task of a night would pay.
    from scipy import stats

    positive, negative = given[truth == 1], given[truth == 0]
    if not len(positive) or not len(negative):
        return math.nan
    return stats.mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative))


def _brier(truth: np.ndarray, given: np.ndarray) -> float:
    return np.square(truth - given).mean() if len(truth) else math.nan


def _base_rate(truth: np.ndarray, given: np.ndarray) -> float:
    return truth.mean() if len(truth) else math.nan


METRICS: dict[str, dict[str, Callable[[np.ndarray, np.ndarray], float]]] = {
    "regression": {
        "mae": _mae,
        "median_absolute_error": _median_absolute_error,
        "median_absolute_log_error": _median_absolute_log_error,
    },
    "classification": {"auc": _auc, "brier": _brier, "base_rate": _base_rate},
}
MORE_IS_BETTER = {"auc"}
