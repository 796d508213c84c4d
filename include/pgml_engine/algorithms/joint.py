"""Several labels at once: one model of an algorithm per label, as scikit-learn's MultiOutputRegressor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from . import Algorithm, Estimator


def fit(
    algorithm: Algorithm,
    settings: Any,
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    cancel_point: Callable[[], None],
) -> dict[str, bytes]:
    """The files by name, for labels of rows x labels."""
    names = _names(algorithm, labels.shape[1])
    return {
        name: algorithm.fit(settings, features, np.ascontiguousarray(labels[:, place]), classes, cancel_point)
        for place, name in enumerate(names)
    }


def trial(
    algorithm: Algorithm,
    settings: Any,
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    cancel_point: Callable[[], None],
) -> Estimator | Joint:
    """Fitted and not stored, where the algorithm offers that."""
    fit_one = getattr(algorithm, "trial", None)
    if fit_one is None:
        task = "classification" if classes else "regression"
        return load(algorithm, fit(algorithm, settings, features, labels, classes, cancel_point), task, labels.shape[1])
    models = [fit_one(settings, features, np.ascontiguousarray(column), classes, cancel_point) for column in labels.T]
    return models[0] if len(models) == 1 else Joint(models)


def load(algorithm: Algorithm, files: Mapping[str, bytes], task: str, labels: int) -> Estimator | Joint:
    models = [algorithm.load(files[name], task) for name in _names(algorithm, labels)]
    return models[0] if labels == 1 else Joint(models)


def _names(algorithm: Algorithm, labels: int) -> list[str]:
    if labels == 1:
        return [algorithm.FILE]
    file = PurePath(algorithm.FILE)
    return [f"{file.stem}_{place + 1}{file.suffix}" for place in range(labels)]


class Joint:
    def __init__(self, models: list[Estimator]) -> None:
        self.models = models

    def predict(self, features: np.ndarray) -> np.ndarray:
        """rows x labels."""
        return np.column_stack([model.predict(features) for model in self.models])
