"""Gradient boosted trees of CatBoost, where it is installed: it is 100 MB, and no part of the locked environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import libraries
from ..errors import PgmlError
from ..hyperparameters import Hyperparameter, read

FILE = "estimator.cbm"
MISSING = True

KNOWN = (
    Hyperparameter("iterations", int, ("n_estimators", "num_boost_round", "num_trees"), at_least=1),
    Hyperparameter("learning_rate", float, ("eta",), at_least=0),
    Hyperparameter("depth", int, ("max_depth",), at_least=1, at_most=16),
    Hyperparameter("l2_leaf_reg", float, ("reg_lambda",), at_least=0),
    Hyperparameter("random_strength", float, at_least=0),
    Hyperparameter("bagging_temperature", float, at_least=0),
    Hyperparameter("subsample", float, at_least=0, at_most=1),
    Hyperparameter("rsm", float, ("colsample_bylevel",), at_least=0, at_most=1),
    Hyperparameter("border_count", int, ("max_bin",), at_least=1, at_most=65535),
    Hyperparameter("grow_policy", str, words=("SymmetricTree", "Depthwise", "Lossguide")),
    Hyperparameter("min_data_in_leaf", int, ("min_child_samples",), at_least=1),
    Hyperparameter("max_leaves", int, ("num_leaves",), at_least=2),
    Hyperparameter("bootstrap_type", str, words=("Bayesian", "Bernoulli", "MVS", "No")),
    Hyperparameter("boosting_type", str, words=("Ordered", "Plain")),
    Hyperparameter("auto_class_weights", str, words=("Balanced", "SqrtBalanced")),
    Hyperparameter("loss_function", str, ("objective",), words=("RMSE", "MAE", "Poisson", "Logloss", "MultiClass")),
    Hyperparameter("random_seed", int, ("random_state",), at_least=0, at_most=2**31 - 1),
    Hyperparameter("thread_count", int, ("n_jobs",), at_least=1, at_most=1),
)

# The library's own default is a thousand rounds; nothing goes to files or to the server's log.
QUIET = {"thread_count": 1, "allow_writing_files": False, "logging_level": "Silent"}


@dataclass(frozen=True)
class Settings:
    parameters: dict[str, Any]


def settings(task: str, hyperparams: dict[str, Any]) -> Settings:
    libraries.catboost()
    values = read("catboost", hyperparams, KNOWN)
    loss = values.get("loss_function")
    if loss is not None and (task == "classification") != (loss in ("Logloss", "MultiClass")):
        raise PgmlError(f'hyperparameter "loss_function" of catboost: {loss} is not one for {task}')
    values.setdefault("random_seed", 0)
    return Settings({**values, **QUIET})


def seed(settings: Settings) -> int:
    return settings.parameters["random_seed"]


def seeded(task: str) -> bool:
    return True


def fit(
    settings: Settings, features: np.ndarray, labels: np.ndarray, classes: int, cancel_point: Callable[[], None]
) -> bytes:
    library = libraries.catboost()

    class CancelPoint:
        stopped: BaseException | None = None

        def after_iteration(self, info: Any) -> bool:
            # The library would make an error of its own of it, without the SQLSTATE.
            try:
                cancel_point()
            except BaseException as error:
                self.stopped = error
            return self.stopped is None

    parameters = dict(settings.parameters)
    parameters.setdefault("loss_function", ("RMSE", "RMSE", "Logloss")[classes] if classes < 3 else "MultiClass")
    if classes:
        # Also those that no training row has.
        parameters["class_names"] = list(range(classes))
    model, listener = library.CatBoost(parameters), CancelPoint()
    try:
        model.fit(features, labels.astype(np.int64 if classes else np.float64), callbacks=[listener])
    except library.CatBoostError as error:
        raise PgmlError(f"catboost: {error}") from None
    if listener.stopped is not None:
        raise listener.stopped
    return bytes(model._serialize_model())


def load(data: bytes, task: str) -> CatBoost:
    model = libraries.catboost().CatBoost()
    model.load_model(blob=data)
    return CatBoost(model, task)


class CatBoost:
    def __init__(self, model: Any, task: str) -> None:
        self.model = model
        self.task = task

    def predict(self, features: np.ndarray) -> np.ndarray:
        if self.task == "classification":
            return self.probabilities(features).argmax(axis=1)
        return np.asarray(self.model.predict(features, thread_count=1))

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.predict(features, prediction_type="Probability", thread_count=1))

    predict_proba = probabilities
