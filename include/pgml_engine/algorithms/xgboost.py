"""Gradient boosted trees of XGBoost, with the hyperparameter names and defaults of PostgresML's Rust runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import libraries
from ..errors import NotSupported, PgmlError
from ..hyperparameters import Hyperparameter, read

FILE = "estimator.ubj"

GONE = "XGBoost 3 no longer has it"
KNOWN = (
    Hyperparameter("num_boost_round", int, ("n_estimators", "boost_rounds"), at_least=1),
    Hyperparameter("eta", float, ("learning_rate",), at_least=0),
    Hyperparameter("gamma", float, ("min_split_loss",), at_least=0),
    Hyperparameter("max_depth", int, at_least=0),
    Hyperparameter("min_child_weight", float, at_least=0),
    Hyperparameter("max_delta_step", float, at_least=0),
    Hyperparameter("subsample", float, at_least=0, at_most=1),
    Hyperparameter("colsample_bytree", float, at_least=0, at_most=1),
    Hyperparameter("colsample_bylevel", float, at_least=0, at_most=1),
    Hyperparameter("colsample_bynode", float, at_least=0, at_most=1),
    Hyperparameter("lambda", float, ("reg_lambda",), at_least=0),
    Hyperparameter("alpha", float, ("reg_alpha",), at_least=0),
    Hyperparameter("tree_method", str, words=("auto", "exact", "approx", "hist")),
    Hyperparameter("scale_pos_weight", float, at_least=0),
    Hyperparameter("base_score", float),
    Hyperparameter("grow_policy", str, words=("depthwise", "lossguide", "loss_guide")),
    Hyperparameter("max_leaves", int, at_least=0),
    Hyperparameter("max_bin", int, at_least=2),
    Hyperparameter("booster", str, words=("gbtree", "dart")),
    Hyperparameter(
        "objective",
        str,
        words=(
            "reg:squarederror",
            "reg:linear",
            "reg:absoluteerror",
            "reg:pseudohubererror",
            "reg:squaredlogerror",
            "reg:gamma",
            "reg:tweedie",
            "count:poisson",
            "multi:softprob",
            "binary:logistic",
        ),
    ),
    # Nothing is evaluated while fitting; PostgresML prints it to the server's log and uses it for nothing else.
    Hyperparameter(
        "eval_metric",
        str,
        words=("rmse", "mae", "mape", "rmsle", "logloss", "mlogloss", "error", "merror", "auc", "aucpr"),
    ),
    Hyperparameter("seed", int, ("random_state",), at_least=0, at_most=2**31 - 1),
    Hyperparameter("nthread", int, at_least=1, at_most=1),
    Hyperparameter("sketch_eps", refused=GONE),
    Hyperparameter("predictor", refused=GONE),
    Hyperparameter("updater", refused="the updater follows from tree_method"),
    Hyperparameter("refresh_leaf", refused="it changes a model that exists, and a training makes a new one"),
    Hyperparameter("process_type", refused="it changes a model that exists, and a training makes a new one"),
)

MISSING = True
ROUNDS = 10
SPELLED = {"reg:linear": "reg:squarederror", "loss_guide": "lossguide"}


@dataclass(frozen=True)
class Settings:
    rounds: int
    parameters: dict[str, Any]


def settings(task: str, hyperparams: dict[str, Any]) -> Settings:
    values = read("xgboost", hyperparams, KNOWN)
    rounds = values.pop("num_boost_round", ROUNDS)
    return Settings(rounds, spelled(task, values))


def spelled(task: str, values: dict[str, Any]) -> dict[str, Any]:
    """The library's parameters, complete: as it spells them, for the task, seeded, one thread."""
    parameters = {
        name: SPELLED.get(value, value) if isinstance(value, str) else value for name, value in values.items()
    }
    objective = parameters.setdefault("objective", "multi:softprob" if task == "classification" else "reg:squarederror")
    if (task == "classification") != objective.startswith(("multi:", "binary:")):
        raise PgmlError(f'hyperparameter "objective" of xgboost: {objective} is not an objective for {task}')
    parameters.setdefault("seed", 0)
    return {**parameters, "nthread": 1}


def seed(settings: Settings) -> int:
    return settings.parameters["seed"]


def seeded(task: str) -> bool:
    return True


def fit(
    settings: Settings, features: np.ndarray, labels: np.ndarray, classes: int, cancel_point: Callable[[], None]
) -> bytes:
    xgb = libraries.xgboost()

    class CancelPoint(xgb.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            cancel_point()
            return False

    parameters = dict(settings.parameters)
    if parameters["objective"] == "multi:softprob":
        parameters["num_class"] = classes
    elif classes > 2:
        raise NotSupported(
            f"objective {parameters['objective']} is for 2 classes, the label has {classes}: use multi:softprob"
        )
    try:
        data = xgb.DMatrix(features, label=labels, nthread=1)
        booster = xgb.train(parameters, data, settings.rounds, callbacks=[CancelPoint()], verbose_eval=False)
        return bytes(booster.save_raw("ubj"))
    except xgb.core.XGBoostError as error:
        raise PgmlError(f"xgboost: {_reason(error)}") from None


def load(data: bytes, task: str) -> XGBoost:
    booster = libraries.xgboost().Booster({"nthread": 1}, model_file=bytearray(data))
    return XGBoost(booster, task)


class XGBoost:
    def __init__(self, booster: Any, task: str) -> None:
        self.booster = booster
        self.task = task

    def predict(self, features: np.ndarray) -> np.ndarray:
        if self.task == "classification":
            return self.probabilities(features).argmax(axis=1)
        return self.booster.inplace_predict(features)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        answer = self.booster.inplace_predict(features)
        # binary:logistic answers P(1) alone
        return answer if answer.ndim == 2 else np.column_stack([1 - answer, answer])

    predict_proba = probabilities


def _reason(error: Exception) -> str:
    """The library's own sentence, without its stack trace and source paths."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line.rpartition("] ")[2] for line in lines if line and not line.startswith("Stack trace")), "refused")
