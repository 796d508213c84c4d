"""XGBoost's random forest: one round of many trees, with the defaults of its XGBRFRegressor and XGBRFClassifier."""

from __future__ import annotations

from typing import Any

from ..hyperparameters import Hyperparameter, read
from . import xgboost
from .xgboost import FILE, MISSING, Settings, fit, load, seed, seeded

__all__ = ["FILE", "MISSING", "fit", "load", "seed", "seeded", "settings"]

DEFAULTS = {"num_parallel_tree": 100, "eta": 1.0, "subsample": 0.8, "colsample_bynode": 0.8, "lambda": 1e-5}

# The number of trees takes the place of the number of rounds.
KNOWN = (
    Hyperparameter("num_parallel_tree", int, ("n_estimators",), at_least=1),
    *(known for known in xgboost.KNOWN if known.name not in ("num_boost_round", "booster")),
)


def settings(task: str, hyperparams: dict[str, Any]) -> Settings:
    values = DEFAULTS | read("xgboost_random_forest", hyperparams, KNOWN)
    return Settings(1, xgboost.spelled(task, values))
