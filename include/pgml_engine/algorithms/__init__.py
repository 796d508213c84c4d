"""One module per library. Each reads its hyperparameters, fits to bytes in that library's format, loads those."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ..errors import NotSupported
from . import catboost, joint, lightgbm, linear, scikit_learn, xgboost, xgboost_random_forest

__all__ = ["ALGORITHMS", "TASKS", "Algorithm", "Estimator", "joint", "named"]


class Estimator(Protocol):
    """A loaded model. Features are rows x features, float32."""

    def predict(self, features: np.ndarray) -> np.ndarray:
        """One value per row: the number, or the number of the class."""

    def probabilities(self, features: np.ndarray) -> np.ndarray | None:
        """rows x classes; each row adds up to 1. None when the algorithm has none; then `scores` may rank two."""

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """What PostgresML answers for this library: all classes, or one value per row."""


class Algorithm(Protocol):
    """What a module of this package offers. MISSING: whether it takes NaN for a value that is not known."""

    FILE: str
    MISSING: bool

    def settings(self, task: str, hyperparams: dict[str, Any]) -> Any:
        """Check the hyperparameters before any row is read."""

    def seed(self, settings: Any) -> int:
        """What random choices start from, those of the split included."""

    def seeded(self, task: str) -> bool:
        """Whether it takes a seed, as the hyperparameter random_state."""

    def fit(
        self, settings: Any, features: np.ndarray, labels: np.ndarray, classes: int, cancel_point: Callable[[], None]
    ) -> bytes:
        """Train; `classes` is 0 for a regression. `cancel_point` is called once per round."""

    def load(self, data: bytes, task: str) -> Estimator:
        """The model that `fit` returned."""


ALGORITHMS: dict[str, Algorithm] = {
    "linear": linear,
    "xgboost": xgboost,
    "lightgbm": lightgbm,
    "xgboost_random_forest": xgboost_random_forest,
    "catboost": catboost,
    **{name: scikit_learn.ScikitLearn(name) for name in scikit_learn.TABLE},
}  # type: ignore[dict-item]
TASKS = ("regression", "classification")


def named(name: str) -> Algorithm:
    algorithm = ALGORITHMS.get(name)
    if algorithm is None:
        raise NotSupported(
            f'algorithm "{name}" is not supported by this version of pgml; it has: {", ".join(ALGORITHMS)}'
        )
    return algorithm
