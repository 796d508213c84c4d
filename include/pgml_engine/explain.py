"""Which feature moved an answer by how much: contributions that, with the base value, add up to the answer.

On the model's own scale: the value of a regression; of two classes the log-odds of the second; of more classes the
score of the predicted one, which is the logarithm of its probability up to what all classes share. With an objective
whose link is a logarithm, such as Poisson's, it is the logarithm of the value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import libraries
from .algorithms.lightgbm import LightGBM
from .algorithms.linear import Linear, Logistic
from .algorithms.xgboost import XGBoost
from .errors import NotSupported, PgmlError
from .predict import _array, _model, _prepared, _row
from .session import entry_point

if TYPE_CHECKING:
    from .encode import Encoding
    from .session import Session
    from .store import Model

BASE = "(base value)"


@entry_point
def explain(session: Session, model: int | str, features: list[Any]) -> list[tuple[str, float]]:
    """Feature and contribution per column of the relation, in training order, and last the base value."""
    found = _model(session, model)
    return _explained(found, _array(found, features))


@entry_point
def explain_row(session: Session, model: int | str, row: str, named: bool) -> list[tuple[str, float]]:
    """As explain, of a record or an array as JSON."""
    found = _model(session, model)
    return _explained(found, _row(found, row, named))


def _explained(model: Model, row: np.ndarray) -> list[tuple[str, float]]:
    if len(model.labels) > 1:
        raise NotSupported(f"model {model.id} predicts {len(model.labels)} labels: explain is for models of one")
    contributions = _of_class(_contributions(model, _prepared(model, row)))
    names = feature_names(model.encoding)
    # One column can be several numbers to the model: its share is theirs together.
    sums = dict.fromkeys(names, 0.0)
    for name, share in zip(names, contributions[:-1], strict=True):
        sums[name] += float(share)
    return [*sums.items(), (BASE, float(contributions[-1]))]


def feature_names(encoding: Encoding) -> list[str]:
    """For each number that the model sees, the column or the array's element that it comes from."""
    names = []
    for each in encoding.inputs:
        if each.kind == "array":
            names += [f"{each.name}[{place + 1}]" for place in range(each.outputs)]
        else:
            names += [each.name] * each.outputs
    return names


def _of_class(contributions: np.ndarray) -> np.ndarray:
    """features + 1, from scores x (features + 1), in which the base value is last."""
    if len(contributions) == 1:
        return contributions[0]
    if len(contributions) == 2:
        return contributions[1] - contributions[0]
    return contributions[contributions.sum(axis=1).argmax()]


def _contributions(model: Model, row: np.ndarray) -> np.ndarray:
    """scores x (features + 1), for one row: one score, or one per class."""
    estimator = model.estimator
    match estimator:
        case XGBoost():
            data = libraries.xgboost().DMatrix(row, nthread=1)
            found = estimator.booster.predict(data, pred_contribs=True, strict_shape=True)
            return found[0].astype(np.float64)
        case LightGBM():
            try:
                found = estimator.booster.predict(row, pred_contrib=True, num_threads=1)
            except libraries.lightgbm().basic.LightGBMError as error:
                raise PgmlError(f"lightgbm: {error}") from None
            return np.asarray(found).reshape(-1, row.shape[1] + 1)
        case Linear() | Logistic():
            shares = estimator.coefficients * row[0].astype(np.float64)
            return np.column_stack([shares, estimator.intercept])
        case _:
            raise NotSupported(
                f"model {model.id} is a {model.algorithm}, whose answers pgml.explain cannot take apart; "
                "it can those of xgboost, xgboost_random_forest, lightgbm and linear"
            )
