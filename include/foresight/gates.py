"""The gate: is the new model good enough, and better than what serves? Pure functions over the same later rows.

What serves is compared with the new model row by row. A comparison takes the mean of the differences, its standard
error over batches of neighbouring entities (rows of one entity, and of one week, are no independent evidence), and
Student's t. The rules:

- The measure's bounds hold, and the error is no more than the simple rung's.
- The gain over the simple rung is more than luck explains, at one chance in twenty.
- The gain over a champion is more than its margin, by more than luck explains at the level of the look. A look may take
  only its share of the luck that the client's models have together (LUCK) while the rows are renewed once: the share
  of rows that are new since the last look. Fewer new ones than STEP are no look, so nights that see the same rows
  again cannot add up. What serves may be the simple rung: then it is the one to beat at that level.
- No slice (project, repository) is worse than with what serves, its gain shrunk toward that of all rows.
- Probabilities are no worse than the simple rung's by more than luck explains.

A champion keeps its place until it is worse than the simple rung, or past a bound, by more than luck explains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from include.foresight.model_specs import ModelSpec

# Two trainings on the same rows differ by a few per cent for good: less than this is no progress.
MARGIN = 0.02

# The chance that luck alone promotes something of a client's while its judged rows are renewed once. Its models share
# it, and a look takes it as far as its rows are new.
LUCK = 0.1
STEP = 0.1

# One-sided levels of the other comparisons: against the simple rung, of all slices together, of a champion's place.
SIMPLE_LEVEL = 0.05
SLICE_LEVEL = 0.05
PLACE_LEVEL = 0.1

# Enough for a level of one in a thousand, few enough that neighbours fall into one.
BATCHES = 30
SLICE_ROWS = 5

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
    """`scores`: metrics by who was judged (challenger, champion, simple); each has `error`, where less is better.
    `looked`: the comparison with what serves was made, at this `level`, so its rows are not new any more."""

    passed: bool
    decision: str
    criteria: tuple[Criterion, ...]
    scores: dict[str, dict[str, float | None]]
    rows_judged: int
    sentence: str
    looked: bool
    level: float

    def stated(self) -> list[dict[str, Any]]:
        return [asdict(criterion) for criterion in self.criteria]


@dataclass(frozen=True)
class Judged:
    """Labels and answers of the same rows, in the order of time. `champion` None: none serves with a model that could
    be asked. `slices`, `entities`: what each row belongs to. `new`: rows whose label came after the last look; None:
    all of them."""

    labels: Sequence[float]
    simple: Sequence[float]
    challenger: Sequence[float]
    champion: Sequence[float] | None = None
    slices: Sequence[str] | None = None
    moments: Sequence[Any] | None = None
    new: Sequence[bool] | None = None
    entities: Sequence[Any] | None = None


def judge(spec: ModelSpec, rows: Judged, *, served_by: str | None, models: int = 1) -> Verdict:
    """Compare challenger, champion and simple rung. `served_by`: the rung in service, None when there is none yet.
    `models`: how many models the client has, which share its luck."""
    scores = {
        "challenger": metrics(spec, rows.labels, rows.challenger),
        "simple": metrics(spec, rows.labels, rows.simple),
    }
    if rows.champion is not None:
        scores["champion"] = metrics(spec, rows.labels, rows.champion)
    enough = _enough(spec, len(rows.labels))
    # Rows that tell nothing (one class only, too few left after both cuts) say nothing against what serves either.
    measured = enough.passed and scores["simple"]["error"] is not None
    unfit = _unfit(spec, rows, scores["champion"]) if rows.champion is not None and measured else None
    champion_stays = rows.champion is not None and unfit is None
    # The simple rung is what serves where no model that could be asked does, and where that one is not fit to.
    look = (
        _look(rows, models) if champion_stays or served_by == "recent" else _Look(len(rows.labels), LUCK / models, None)
    )
    criteria = [enough, *_bounds(spec, scores["challenger"]), _no_worse(spec, scores)]
    if look.criterion:
        criteria.append(look.criterion)
    against_simple = _compared(spec, rows, rows.simple, "challenger")
    level = SIMPLE_LEVEL if champion_stays else min(SIMPLE_LEVEL, look.level)
    criteria.append(_beats("better than the simple rung", spec.simple_name, against_simple, 0, level))
    serving = rows.simple
    if champion_stays:
        serving = rows.champion
        gain = _compared(spec, rows, rows.champion, "challenger", MARGIN)
        criteria.append(_beats("better than the champion", "the model in service", gain, MARGIN, look.level))
    criteria += [*_slices(spec, rows, serving), *_calibration(spec, rows)]
    passed = all(criterion.passed for criterion in criteria)
    if passed:
        decision = PROMOTE
    elif champion_stays or served_by == "recent":
        decision = KEEP
    else:
        decision = DEMOTE
    return Verdict(
        passed=passed,
        decision=decision,
        criteria=tuple(criteria),
        scores=scores,
        rows_judged=len(rows.labels),
        sentence=_sentence(spec, decision, scores, criteria, champion_stays, unfit, len(rows.labels)),
        looked=measured and (look.criterion is None or look.criterion.passed),
        level=look.level,
    )


@dataclass(frozen=True)
class _Look:
    """`level`: the luck that this look may take. `criterion` None: it is the first, and needs no new rows."""

    rows: int
    level: float
    criterion: Criterion | None


def _look(rows: Judged, models: int) -> _Look:
    count = len(rows.labels)
    if rows.new is None:
        return _Look(count, LUCK / models, None)
    new, needed = sum(rows.new), max(1, math.ceil(STEP * count))
    reason = (
        f"{new} of these rows are new since the last comparison with what serves"
        f"{'' if new >= needed else f', and {needed} are needed for another'}"
    )
    share = new / count if count else 0.0
    return _Look(count, LUCK / models * share, Criterion("new rows", new >= needed, float(new), float(needed), reason))


def _enough(spec: ModelSpec, rows: int) -> Criterion:
    """Fewer are left than a training asks for when the champion has learned from some of them."""
    fit = rows >= spec.min_test_rows
    reason = f"{rows} later rows, {spec.min_test_rows} are needed"
    return Criterion("enough rows", fit, float(rows), float(spec.min_test_rows), reason)


def _bounds(spec: ModelSpec, own: Mapping[str, float | None]) -> list[Criterion]:
    found = []
    for name, limit in spec.bounds.items():
        observed = own.get(name)
        at_least = name in MORE_IS_BETTER
        fit = observed is not None and (observed >= limit if at_least else observed <= limit)
        rule = f"{name} must be {'at least' if at_least else 'at most'} {limit:g}"
        reason = (
            f"{rule}, and is {observed:.4g}"
            if observed is not None
            else f"{rule}, and cannot be measured on these rows"
        )
        found.append(Criterion(f"{name} bound", fit, observed, limit, reason))
    return found


def _no_worse(spec: ModelSpec, scores: Mapping[str, Mapping[str, float | None]]) -> Criterion:
    error, simple = scores["challenger"]["error"], scores["simple"]["error"]
    fit = error is not None and simple is not None and error <= simple
    if error is None or simple is None:
        reason = f"{spec.measure} cannot be measured on these rows"
    else:
        reason = (
            f"error {error:.4g} {'is no more than' if fit else 'is above'} that of {spec.simple_name}, {simple:.4g}"
        )
    return Criterion("no worse than the simple rung", fit, error, simple, reason)


def _beats(name: str, whom: str, gain: Gain | None, margin: float, level: float) -> Criterion:
    if gain is None:
        return Criterion(name, False, None, margin, f"the gain over {whom} cannot be measured on these rows")
    needed = margin + gain.luck(level)
    fit = gain.share > needed
    less = f"{abs(gain.share):.1%} {'less' if gain.share >= 0 else 'more'}"
    proof = "so it is better" if fit else "so nothing is proved"
    room = f"a margin of {margin:.0%} and luck" if margin else "luck"
    reason = f"errs {less} than {whom}, and {room} can make up to {needed:.1%}, {proof}"
    # A level of nothing lets nothing pass, and no JSON holds what it asks for.
    return Criterion(name, fit, gain.share, needed if math.isfinite(needed) else None, reason)


def _unfit(spec: ModelSpec, rows: Judged, own: Mapping[str, float | None]) -> str | None:
    """Why the champion may not stay; None when it may."""
    if own["error"] is None:
        return f"{spec.measure} of the model in service cannot be measured"
    for name, limit in spec.bounds.items():
        observed = own.get(name)
        if observed is not None and _is_past(spec, rows, name, observed, limit):
            return f"{name} of the model in service must be {_side(name)} {limit:g}, and is {observed:.4g}"
    simple = losses(spec, rows.labels, rows.simple)
    if simple is not None and not simple.any():
        return None if own["error"] == 0 else f"the model in service errs where {spec.simple_name} does not"
    gain = _compared(spec, rows, rows.simple, "champion")
    if gain is not None and gain.share < -gain.luck(PLACE_LEVEL):
        return (
            f"the model in service errs {-gain.share:.1%} more than {spec.simple_name}, and luck can make up to "
            f"{gain.luck(PLACE_LEVEL):.1%}"
        )
    return None


def _side(name: str) -> str:
    return "at least" if name in MORE_IS_BETTER else "at most"


def _is_past(spec: ModelSpec, rows: Judged, name: str, observed: float, limit: float) -> bool:
    """Whether the champion is past a bound. Where the bound is on what is measured, luck is allowed for."""
    over = limit - observed if name in MORE_IS_BETTER else observed - limit
    if over <= 0:
        return False
    own = losses(spec, rows.labels, rows.champion) if name == spec.measure and name in ROW_BY_ROW else None
    if own is None:
        return True
    values = _batches(_contributions(spec, rows.labels, own), rows.entities, _most(spec, rows.labels))
    return len(values) < 2 or over > _t(PLACE_LEVEL, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))


# --- Comparing row by row


@dataclass(frozen=True)
class Gain:
    """How much less one errs than another, as a share of the other's error; `error` is its standard error."""

    share: float
    error: float
    freedom: int

    def luck(self, level: float) -> float:
        """What chance alone exceeds with this probability."""
        return _t(level, self.freedom) * self.error if self.error else 0.0


def _t(level: float, freedom: int) -> float:
    # Imported here, like the other: half a second that every task of a night would pay.
    from scipy import stats

    return float(stats.t.isf(level, freedom))


def _compared(spec: ModelSpec, rows: Judged, others: Sequence[float], who: str, margin: float = 0.0) -> Gain | None:
    """Of `who` over these answers; None where it cannot be measured or the other does not err."""
    mine, theirs = losses(spec, rows.labels, getattr(rows, who)), losses(spec, rows.labels, others)
    if mine is None or theirs is None:
        return None
    mine, theirs = _contributions(spec, rows.labels, mine), _contributions(spec, rows.labels, theirs)
    whole = theirs.mean() if len(theirs) else 0.0
    batches = _batches((1 - margin) * theirs - mine, rows.entities, _most(spec, rows.labels))
    if whole <= 0 or len(batches) < 2:
        return None
    error = batches.std(ddof=1) / math.sqrt(len(batches)) / whole
    return Gain(float(1 - mine.mean() / whole), float(error), len(batches) - 1)


def losses(spec: ModelSpec, labels: Sequence[float], answers: Sequence[float]) -> np.ndarray | None:
    """What each answer is off by: absolute, on the log scale, or (of a probability) the share of rows of the other
    class that it puts on the wrong side. None: not defined."""
    truth, given = np.asarray(labels, dtype=float), np.asarray(answers, dtype=float)
    if not (np.isfinite(truth).all() and np.isfinite(given).all()):
        return None
    if spec.measure == "mae":
        return np.abs(truth - given)
    if spec.measure == "median_absolute_log_error":
        return _absolute_log_errors(truth, given)
    return _wrong_sides(truth, given)


def _wrong_sides(truth: np.ndarray, given: np.ndarray) -> np.ndarray | None:
    from scipy import stats

    bad = truth == 1
    if not bad.any() or bad.all():
        return None
    ranks, found = stats.rankdata(given), np.empty(len(given))
    found[bad] = 1 - (ranks[bad] - stats.rankdata(given[bad])) / (~bad).sum()
    found[~bad] = (ranks[~bad] - stats.rankdata(given[~bad])) / bad.sum()
    return found


def _contributions(spec: ModelSpec, labels: Sequence[float], off: np.ndarray) -> np.ndarray:
    """Values whose mean is the error and whose spread is its uncertainty. For the area under the curve they are
    DeLong's: each class weighs the same, and each row stands in pairs on one side of two."""
    if spec.measure != "auc":
        return off
    bad = np.asarray(labels, dtype=float) == 1
    weights = np.where(bad, 0.5 / bad.mean(), 0.5 / (~bad).mean())
    mean = (weights * off).mean()
    return mean + 2 * weights * (off - mean)


def _most(spec: ModelSpec, labels: Sequence[float]) -> int:
    """Batches that may be made: no more than there are rows of the rarer class."""
    if spec.measure != "auc":
        return BATCHES
    bad = int(sum(labels))
    return min(BATCHES, bad, len(labels) - bad)


def _batches(values: np.ndarray, entities: Sequence[Any] | None, most: int) -> np.ndarray:
    """As many numbers with the same mean, of neighbours in time; an entity is in one of them with all its rows."""
    if not len(values) or most < 1:
        return np.empty(0)
    if entities is None:
        places = np.arange(len(values))
    else:
        first: dict[Any, int] = {}
        places = np.array([first.setdefault(entity, len(first)) for entity in entities])
    units = int(places.max()) + 1
    count = min(most, units)
    mean = values.mean()
    sums = np.bincount(places * count // units, weights=values - mean, minlength=count)
    return mean + sums * count / len(values)


# --- Slices and probabilities


def _slices(spec: ModelSpec, rows: Judged, serving: Sequence[float]) -> list[Criterion]:
    """No slice is worse off. A slice's own mean says little where it has few rows, so it is shrunk toward that of all
    by as much as slices differ beyond chance; the level is shared by the slices that are looked at."""
    mine, theirs = losses(spec, rows.labels, rows.challenger), losses(spec, rows.labels, serving)
    if rows.slices is None or mine is None or theirs is None or not theirs.any():
        return []
    gains, names = theirs - mine, np.asarray(rows.slices, dtype=object)
    found = {}
    for name in dict.fromkeys(rows.slices):
        chosen = names == name
        if chosen.sum() >= SLICE_ROWS:
            found[name] = gains[chosen]
    if len(found) < 2:
        return []
    from scipy import stats

    means = np.array([values.mean() for values in found.values()])
    within = gains.var(ddof=1) / np.array([len(values) for values in found.values()])
    own = np.array([values.var(ddof=1) / len(values) for values in found.values()])
    # A slice of a few equal rows has no spread to show; the others lend theirs.
    within = np.maximum(within, own)
    weights = np.divide(1, within, out=np.zeros_like(within), where=within > 0)
    centre = (weights * means).sum() / weights.sum() if weights.any() else means.mean()
    excess = (weights * (means - centre) ** 2).sum() - (len(means) - 1)
    scale = weights.sum() - (weights**2).sum() / weights.sum() if weights.any() else 0.0
    between = max(0.0, excess / scale) if scale > 0 else 0.0
    trust = between / (between + within) if between > 0 else np.zeros_like(within)
    shrunk = centre + trust * (means - centre)
    of_centre = 1 / weights.sum() if weights.any() else 0.0
    spread = np.sqrt(trust * within + (1 - trust) ** 2 * of_centre)
    level = SLICE_LEVEL / len(found)
    luck = stats.norm.isf(level) * spread
    worst = int(np.argmin(shrunk + luck))
    whole = theirs.mean()
    observed, threshold = float(shrunk[worst] / whole), float(-luck[worst] / whole)
    fit = observed >= threshold
    name = list(found)[worst]
    less = "less" if observed >= 0 else "more"
    reason = (
        f"of {len(found)} slices '{name}' fares worst: it errs {abs(observed):.1%} {less} than with what serves"
        f"{'' if fit else f', and luck can make up to {-threshold:.1%}'}"
    )
    return [Criterion("no slice worse", fit, observed, threshold, reason)]


def _calibration(spec: ModelSpec, rows: Judged) -> list[Criterion]:
    if spec.task != "classification":
        return []
    labels = np.asarray(rows.labels, dtype=float)
    mine, simple = (np.square(labels - np.asarray(one, dtype=float)) for one in (rows.challenger, rows.simple))
    name = "probabilities"
    batches = _batches(mine - simple, rows.entities, BATCHES)
    if len(batches) < 2 or not np.isfinite(batches).all():
        return [
            Criterion(name, False, None, None, "how far its probabilities are off cannot be measured on these rows")
        ]
    room = _t(SIMPLE_LEVEL, len(batches) - 1) * batches.std(ddof=1) / math.sqrt(len(batches))
    observed, limit = float(mine.mean()), float(simple.mean() + room)
    reason = (
        f"its probabilities are off by {observed:.3f} (Brier score), those of {spec.simple_name} by {simple.mean():.3f}"
        f"; up to {limit:.3f} may be luck"
    )
    return [Criterion(name, observed <= limit, observed, limit, reason)]


# --- What people read


def _sentence(
    spec: ModelSpec,
    decision: str,
    scores: Mapping[str, Mapping[str, float | None]],
    criteria: Sequence[Criterion],
    champion_stays: bool,
    unfit: str | None,
    rows: int,
) -> str:
    """What a manager reads."""
    new, simple = _said(spec, scores["challenger"]["error"]), _said(spec, scores["simple"]["error"])
    compared = (
        f"On the last {rows} {spec.entity.replace('_', ' ')} rows the new model {new}, {spec.simple_name} {simple}"
    )
    if decision == PROMOTE:
        replaced = f", since {unfit}" if unfit else ""
        return f"{compared}: the new model serves{replaced}."
    failed = "; ".join(criterion.reason for criterion in criteria if not criterion.passed)
    if champion_stays:
        old = _said(spec, scores["champion"]["error"])
        return f"{compared}, the model in service {old}: the model in service stays. The new one {_fails(criteria)}."
    fallen = f" {unfit[0].upper()}{unfit[1:]}." if unfit else ""
    return f"{compared}.{fallen} {spec.simple_name.capitalize()} serves, because of the new model: {failed}."


def _fails(criteria: Sequence[Criterion]) -> str:
    """What comes first keeps it from being compared, what comes later is how that went."""
    failed = [criterion for criterion in criteria if not criterion.passed]
    waits = [criterion for criterion in failed if criterion.name in ("enough rows", "new rows")]
    if waits:
        return f"cannot be compared yet: {waits[0].reason}"
    return "; ".join(criterion.reason for criterion in failed)


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


# --- Metrics


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


def _absolute_log_errors(truth: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Of positive quantities; what is below one counts as one, or a single zero would decide."""
    return np.abs(np.log(np.maximum(truth, 1)) - np.log(np.maximum(given, 1)))


def _median_absolute_log_error(truth: np.ndarray, given: np.ndarray) -> float:
    return np.median(_absolute_log_errors(truth, given)) if len(truth) else math.nan


def _auc(truth: np.ndarray, given: np.ndarray) -> float:
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

# Metrics that are the mean of a loss per row.
ROW_BY_ROW = {"mae", "auc"}
