"""Gradient boosted trees of LightGBM, with the library's own names, aliases and defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import libraries
from ..errors import NotSupported, PgmlError
from ..hyperparameters import Hyperparameter, read

FILE = "estimator.txt"

# What shapes a model. The library knows many more, among them names of files on the server: those stay out.
KNOWN = (
    Hyperparameter(
        "num_iterations",
        int,
        ("num_iteration", "n_iter", "num_tree", "num_trees", "num_round", "num_rounds", "nrounds", "num_boost_round")
        + ("n_estimators", "max_iter"),
        at_least=1,
    ),
    Hyperparameter("learning_rate", float, ("shrinkage_rate", "eta"), at_least=0),
    Hyperparameter(
        "num_leaves", int, ("num_leaf", "max_leaves", "max_leaf", "max_leaf_nodes"), at_least=2, at_most=131072
    ),
    Hyperparameter("max_depth", int),
    Hyperparameter(
        "min_data_in_leaf", int, ("min_data_per_leaf", "min_data", "min_child_samples", "min_samples_leaf"), at_least=0
    ),
    Hyperparameter(
        "min_sum_hessian_in_leaf",
        float,
        ("min_sum_hessian_per_leaf", "min_sum_hessian", "min_hessian", "min_child_weight"),
        at_least=0,
    ),
    Hyperparameter("bagging_fraction", float, ("sub_row", "subsample", "bagging"), at_least=0, at_most=1),
    Hyperparameter(
        "pos_bagging_fraction", float, ("pos_sub_row", "pos_subsample", "pos_bagging"), at_least=0, at_most=1
    ),
    Hyperparameter(
        "neg_bagging_fraction", float, ("neg_sub_row", "neg_subsample", "neg_bagging"), at_least=0, at_most=1
    ),
    Hyperparameter("bagging_freq", int, ("subsample_freq",), at_least=0),
    Hyperparameter("bagging_seed", int, ("bagging_fraction_seed",)),
    Hyperparameter("feature_fraction", float, ("sub_feature", "colsample_bytree"), at_least=0, at_most=1),
    Hyperparameter("feature_fraction_bynode", float, ("sub_feature_bynode", "colsample_bynode"), at_least=0, at_most=1),
    Hyperparameter("feature_fraction_seed", int),
    Hyperparameter("extra_trees", bool, ("extra_tree",)),
    Hyperparameter("extra_seed", int),
    Hyperparameter("max_delta_step", float, ("max_tree_output", "max_leaf_output")),
    Hyperparameter("lambda_l1", float, ("reg_alpha", "l1_regularization"), at_least=0),
    Hyperparameter("lambda_l2", float, ("reg_lambda", "lambda", "l2_regularization"), at_least=0),
    Hyperparameter("min_gain_to_split", float, ("min_split_gain",), at_least=0),
    Hyperparameter("path_smooth", float, at_least=0),
    Hyperparameter("linear_tree", bool, ("linear_trees",)),
    Hyperparameter("linear_lambda", float, at_least=0),
    Hyperparameter("boosting", str, ("boosting_type", "boost"), words=("gbdt", "dart", "rf")),
    Hyperparameter("data_sample_strategy", str, words=("bagging", "goss")),
    Hyperparameter("drop_rate", float, ("rate_drop",), at_least=0, at_most=1),
    Hyperparameter("max_drop", int),
    Hyperparameter("skip_drop", float, at_least=0, at_most=1),
    Hyperparameter("xgboost_dart_mode", bool),
    Hyperparameter("uniform_drop", bool),
    Hyperparameter("drop_seed", int),
    Hyperparameter("top_rate", float, at_least=0, at_most=1),
    Hyperparameter("other_rate", float, at_least=0, at_most=1),
    Hyperparameter("max_bin", int, ("max_bins",), at_least=2),
    Hyperparameter("min_data_in_bin", int, at_least=1),
    Hyperparameter("bin_construct_sample_cnt", int, ("subsample_for_bin",), at_least=1),
    Hyperparameter("is_unbalance", bool, ("unbalance", "unbalanced_sets")),
    Hyperparameter("scale_pos_weight", float, at_least=0),
    Hyperparameter("sigmoid", float, at_least=0),
    Hyperparameter("boost_from_average", bool),
    Hyperparameter("reg_sqrt", bool),
    Hyperparameter("alpha", float, at_least=0),
    Hyperparameter("fair_c", float, at_least=0),
    Hyperparameter("poisson_max_delta_step", float, at_least=0),
    Hyperparameter("tweedie_variance_power", float, at_least=1, at_most=2),
    Hyperparameter(
        "objective",
        str,
        ("objective_type", "app", "application", "loss"),
        words=("regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape", "gamma", "tweedie")
        + ("binary", "multiclass"),
    ),
    Hyperparameter("seed", int, ("random_seed", "random_state"), at_least=0, at_most=2**31 - 1),
    Hyperparameter("num_threads", int, ("num_thread", "nthread", "nthreads", "n_jobs"), at_least=1, at_most=1),
)

MISSING = True
ROUNDS = 100
# Without these a run may pick another layout by timing it, and with it other sums in the last digit.
SAME_EVERY_TIME = {"deterministic": True, "force_row_wise": True, "num_threads": 1, "verbosity": -1}


@dataclass(frozen=True)
class Settings:
    rounds: int
    parameters: dict[str, Any]


def settings(task: str, hyperparams: dict[str, Any]) -> Settings:
    values = read("lightgbm", hyperparams, KNOWN)
    rounds = values.pop("num_iterations", ROUNDS)
    values.setdefault("seed", 0)
    objective = values.get("objective")
    if objective is not None and (task == "classification") != (objective in ("binary", "multiclass")):
        raise PgmlError(f'hyperparameter "objective" of lightgbm: {objective} is not an objective for {task}')
    return Settings(rounds, {**values, **SAME_EVERY_TIME})


def seed(settings: Settings) -> int:
    return settings.parameters["seed"]


def seeded(task: str) -> bool:
    return True


def fit(
    settings: Settings, features: np.ndarray, labels: np.ndarray, classes: int, cancel_point: Callable[[], None]
) -> bytes:
    lgb = libraries.lightgbm()
    parameters = dict(settings.parameters)
    objective = parameters.setdefault(
        "objective", ("regression", "regression", "binary")[classes] if classes < 3 else "multiclass"
    )
    if objective == "binary" and classes > 2:
        raise NotSupported(f"objective binary is for 2 classes, the label has {classes}: use multiclass")
    if objective == "multiclass":
        parameters["num_class"] = classes
    try:
        data = lgb.Dataset(features, label=labels, params=parameters)
        booster = lgb.train(parameters, data, settings.rounds, callbacks=[lambda environment: cancel_point()])
        return booster.model_to_string().encode()
    except lgb.basic.LightGBMError as error:
        raise PgmlError(f"lightgbm: {error}") from None


def load(data: bytes, task: str) -> LightGBM:
    booster = libraries.lightgbm().Booster(model_str=data.decode())
    return LightGBM(booster, task)


class LightGBM:
    def __init__(self, booster: Any, task: str) -> None:
        self.booster = booster
        self.task = task

    def predict(self, features: np.ndarray) -> np.ndarray:
        answer = self.booster.predict(features, num_threads=1)
        if self.task != "classification":
            return answer
        return answer.argmax(axis=1) if answer.ndim == 2 else answer >= 0.5

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """As PostgresML: one value per row, P(1), when there are two classes."""
        answer = self.booster.predict(features, num_threads=1)
        return answer if answer.ndim == 2 else answer[:, np.newaxis]

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        answer = self.predict_proba(features)
        return np.column_stack([1 - answer, answer]) if answer.shape[1] == 1 else answer
