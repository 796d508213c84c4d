"""Hyperparameters that are tried out: which, on which rows, and which are the best."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import BadData, PgmlError

# Of one fold the last fifth of the training rows judges: the test rows are for the winner alone.
PARTS_OF_ONE_FOLD = 5
MAX_CANDIDATES = 10_000


@dataclass(frozen=True)
class Plan:
    """What is varied, per candidate, and into how many folds the training rows are cut."""

    varied: tuple[dict[str, Any], ...]
    folds: int


def plan(
    fixed: dict[str, Any], search: str | None, params: dict[str, Any], args: dict[str, Any], seed: int
) -> Plan | None:
    """None when there is nothing to try out."""
    for key in args:
        if key not in ("n_iter", "cv"):
            raise PgmlError(f'search_args has the unknown key "{key}"; known are n_iter, cv')
    tries, folds = _count(args, "n_iter", 10), _count(args, "cv", 5 if search else 1)
    for name, values in params.items():
        if name in fixed:
            raise PgmlError(f'"{name}" stands in both hyperparams and search_params: it is either fixed or varied')
        if not isinstance(values, list) or not values:
            raise PgmlError(f'search_params: "{name}" must be an array of values to try, got {json.dumps(values)}')
    if not params:
        if search is not None:
            raise PgmlError(f"search {search} needs search_params, the values to try by name")
        return None
    size = math.prod(len(values) for values in params.values())
    if search != "random" and size > MAX_CANDIDATES:
        raise PgmlError(f"search_params name {size} combinations; a grid has at most {MAX_CANDIDATES}")
    if search == "random" and tries < size:
        # Without replacement; a permutation of a huge grid would take its size in memory.
        chosen = sorted(_distinct(size, min(tries, MAX_CANDIDATES), seed))
        varied = [_combination(params, number) for number in chosen]
    else:
        varied = [dict(zip(params, each, strict=True)) for each in itertools.product(*params.values())]
    return Plan(tuple(varied), folds)


def _distinct(size: int, tries: int, seed: int) -> set[int]:
    random = np.random.RandomState(seed)
    found: set[int] = set()
    while len(found) < tries:
        found.add(int(random.randint(0, min(size, 2**62), dtype=np.int64)))
    return found


def _combination(params: dict[str, list[Any]], number: int) -> dict[str, Any]:
    chosen = {}
    for name, values in reversed(params.items()):
        number, place = divmod(number, len(values))
        chosen[name] = values[place]
    return {name: chosen[name] for name in params}


def _count(args: dict[str, Any], name: str, default: int) -> int:
    value = args.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise PgmlError(f"search_args: {name} must be a whole number of at least 1, got {json.dumps(value)}")
    return value


@dataclass(frozen=True)
class Trial:
    score: float | None
    fit_time: float
    score_time: float


def run(
    plan: Plan, folds: int, attempt: Callable[[int, dict[str, Any]], Trial]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Try each candidate on each fold. Returns that with the best mean score, and PostgresML's search_results."""
    trials: list[list[Trial]] = [[] for _ in plan.varied]
    for fold in range(folds):
        for place, varied in enumerate(plan.varied):
            trials[place].append(attempt(fold, varied))
    scores = np.array([[np.nan if trial.score is None else trial.score for trial in each] for each in trials])
    means = scores.mean(axis=1)
    if np.isnan(means).all():
        raise BadData("no candidate of the search has a score on every fold: the label varies too little within them")
    best = int(np.nanargmax(means))
    times = {
        "fit_time": np.array([[trial.fit_time for trial in each] for each in trials]),
        "score_time": np.array([[trial.score_time for trial in each] for each in trials]),
        "test_score": scores,
    }
    results: dict[str, Any] = {"params": list(plan.varied), "n_splits": folds, "best_index": best}
    for name, values in times.items():
        results[f"mean_{name}"] = _listed(values.mean(axis=1))
        results[f"std_{name}"] = _listed(values.std(axis=1))
    for fold in range(folds):
        results[f"split{fold}_test_score"] = _listed(scores[:, fold])
    for name in plan.varied[0]:
        results[f"param_{name}"] = [varied[name] for varied in plan.varied]
    return plan.varied[best], results


def _listed(values: np.ndarray) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
