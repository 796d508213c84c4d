"""Metrics of two arrays, under PostgresML's names of functions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from . import metrics
from .errors import BadData, PgmlError, TooLarge
from .session import entry_point

if TYPE_CHECKING:
    from .session import Session


# The table of classes by classes is in memory; without a limit one call could take all of the server's.
MOST_CLASSES = 1000


@entry_point
def regression_metrics(session: Session, truth: list[float], predicted: list[float]) -> str:
    """JSON with r2, mean_absolute_error, mean_squared_error."""
    return json.dumps(metrics.regression(*_pair(truth, predicted)))


@entry_point
def classification_metrics(session: Session, truth: list[float], predicted: list[float], classes: int) -> str:
    """JSON with f1, precision, recall, accuracy, mcc."""
    actual, guessed = _pair(truth, predicted)
    if classes > MOST_CLASSES:
        raise TooLarge(f"num_classes must be {MOST_CLASSES} at most, got {classes}")
    for values in (actual, guessed):
        if not np.isin(values, np.arange(classes)).all():
            raise BadData(f"classes must be whole numbers from 0 to {classes - 1}")
    return json.dumps(metrics.decisions(actual, guessed, classes))


def _pair(truth: list[float], predicted: list[float]) -> tuple[np.ndarray, np.ndarray]:
    if len(truth) != len(predicted) or not truth:
        raise PgmlError(
            f"both arrays must have the same number of values, at least one; got {len(truth)} and {len(predicted)}"
        )
    if None in truth or None in predicted:
        raise BadData("the arrays must not contain NULL")
    return np.array(truth, dtype=np.float32), np.array(predicted, dtype=np.float32)
