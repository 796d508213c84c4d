"""Least squares for a regression, logistic regression for a classification: scikit-learn's, stored as coefficients."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import libraries
from ..hyperparameters import Hyperparameter, read

FILE = "estimator.json"

KNOWN = {
    "regression": (Hyperparameter("fit_intercept", bool),),
    "classification": (
        Hyperparameter("fit_intercept", bool),
        Hyperparameter("C", float, at_least=1e-12),
        Hyperparameter("tol", float, at_least=0),
        Hyperparameter("max_iter", int, at_least=1),
        Hyperparameter("class_weight", str, words=("balanced",)),
        Hyperparameter("solver", str, words=("newton-cholesky", "lbfgs")),
        Hyperparameter("random_state", int, at_least=0, at_most=2**31 - 1),
    ),
}

MISSING = False
# The optimum is the same as with scikit-learn's default solver, but columns of very different size do not keep it from
# being found, and a dozen steps do.
SOLVER = "newton-cholesky"


@dataclass(frozen=True)
class Settings:
    task: str
    parameters: dict[str, Any]


def settings(task: str, hyperparams: dict[str, Any]) -> Settings:
    return Settings(task, read("linear", hyperparams, KNOWN[task]))


def seed(settings: Settings) -> int:
    return settings.parameters.get("random_state", 0)


def seeded(task: str) -> bool:
    return task == "classification"


def fit(
    settings: Settings, features: np.ndarray, labels: np.ndarray, classes: int, cancel_point: Callable[[], None]
) -> bytes:
    models = libraries.linear_models()
    # A fit is one call of at most max_iter cheap steps: it can be cancelled before, not within.
    cancel_point()
    if settings.task == "regression":
        model = models.LinearRegression(**settings.parameters)
    else:
        model = models.LogisticRegression(**{"solver": SOLVER, **settings.parameters})
    with warnings.catch_warnings():
        # Not converged, or a singular matrix: the metrics on the test rows tell whether it matters.
        warnings.simplefilter("ignore")
        model.fit(features.astype(np.float64), labels.astype(np.float64))
    coefficients = np.atleast_2d(model.coef_)
    intercept = np.broadcast_to(model.intercept_, len(coefficients))
    learned = [int(number) for number in getattr(model, "classes_", ())]
    stored = {
        "coefficients": coefficients.tolist(),
        "intercept": intercept.tolist(),
        "learned": learned,
        "classes": classes,
    }
    return json.dumps(stored).encode()


def load(data: bytes, task: str) -> Linear | Logistic:
    stored = json.loads(data)
    coefficients, intercept = np.array(stored["coefficients"]), np.array(stored["intercept"])
    if task == "regression":
        return Linear(coefficients, intercept)
    return Logistic(coefficients, intercept, stored["learned"], stored["classes"])


def _scores(features: np.ndarray, coefficients: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    # Not a matrix product: BLAS adds up in another order for one row than for many, and an answer must not depend on
    # which rows are asked about with it.
    columns = [np.einsum("ij,j->i", features.astype(np.float64), row) for row in coefficients]
    return np.column_stack(columns) + intercept


class Linear:
    def __init__(self, coefficients: np.ndarray, intercept: np.ndarray) -> None:
        self.coefficients, self.intercept = coefficients, intercept

    def predict(self, features: np.ndarray) -> np.ndarray:
        return _scores(features, self.coefficients, self.intercept)[:, 0]


class Logistic:
    def __init__(self, coefficients: np.ndarray, intercept: np.ndarray, learned: list[int], classes: int) -> None:
        self.coefficients, self.intercept = coefficients, intercept
        self.learned, self.classes = learned, classes

    def predict(self, features: np.ndarray) -> np.ndarray:
        return self.probabilities(features).argmax(axis=1)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        scores = _scores(features, self.coefficients, self.intercept)
        if scores.shape[1] == 1:
            scores = np.column_stack([np.zeros(len(scores)), scores[:, 0]])
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        answer = np.zeros((len(features), self.classes))
        # A class that no training row has was not learned: its probability is 0.
        answer[:, self.learned] = powers / powers.sum(axis=1, keepdims=True)
        return answer

    predict_proba = probabilities
