"""PostgresML's metrics of the test rows, by the usual definitions. None is "not defined on these rows"."""

from __future__ import annotations

import numpy as np

# What decides whether a new model replaces the deployed one; higher is better.
TARGET = {"regression": "r2", "classification": "f1"}


def regression(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    """r2, mean_absolute_error, mean_squared_error. r2 is None when all labels are equal."""
    truth = truth.astype(np.float64)
    error = truth - predicted.astype(np.float64)
    spread = float(((truth - truth.mean()) ** 2).sum())
    return {
        "r2": 1 - float((error**2).sum()) / spread if spread > 0 else None,
        "mean_absolute_error": float(np.abs(error).mean()),
        "mean_squared_error": float((error**2).mean()),
    }


def classification(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, float | None]:
    """f1, precision, recall (of class 1 when there are two, else the mean over classes), accuracy, mcc; with two
    classes roc_auc and log_loss too.

    truth: class numbers (rows); probabilities: rows x classes.
    """
    classes = probabilities.shape[1]
    metrics = decisions(truth, probabilities.argmax(axis=1), classes)
    if classes == 2:
        metrics["roc_auc"] = roc_auc(truth, probabilities[:, 1])
        metrics["log_loss"] = log_loss(truth, probabilities[:, 1])
    return metrics


def decided(
    truth: np.ndarray, predicted: np.ndarray, classes: int, score: np.ndarray | None
) -> dict[str, float | None]:
    """As `classification`, of an algorithm without probabilities: roc_auc by its score, and log_loss is not defined."""
    metrics = decisions(truth, predicted, classes)
    if classes == 2:
        metrics["roc_auc"] = None if score is None else roc_auc(truth, score)
        metrics["log_loss"] = None
    return metrics


def decisions(truth: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, float | None]:
    """What the chosen classes alone tell."""
    table = confusion(truth, predicted, classes)
    each = by_class(table)
    scored = slice(1, 2) if classes == 2 else slice(None)
    return {
        **{name: _mean(each[name][scored]) for name in ("f1", "precision", "recall")},
        "accuracy": float(table.trace() / table.sum()),
        "mcc": _matthews(table),
    }


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """classes x classes: rows are the truth, columns the prediction."""
    places = truth.astype(np.int64) * classes + predicted.astype(np.int64)
    return np.bincount(places, minlength=classes * classes).reshape(classes, classes).astype(float)


def by_class(table: np.ndarray) -> dict[str, np.ndarray]:
    """precision, recall and f1 per class; NaN where not defined."""
    right, actual, guessed = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"precision": right / guessed, "recall": right / actual, "f1": 2 * right / (actual + guessed)}


def calibration(truth: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> dict[str, float]:
    """brier: mean squared distance of the probabilities from the truth, summed over classes (0 to 2; with two classes
    that of class 1 alone, 0 to 1). expected_calibration_error: how far the probability of the chosen class is from the
    share of rows in which it was right, weighted over equal bins. log_loss over all classes."""
    rows, classes = probabilities.shape
    actual = np.zeros((rows, classes))
    actual[np.arange(rows), truth.astype(np.int64)] = 1
    squares = (probabilities.astype(np.float64) - actual) ** 2
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == truth
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(place, minlength=bins)
    gaps = np.abs(np.bincount(place, confidence, bins) - np.bincount(place, right, bins))
    margin = float(np.finfo(np.float32).eps)
    chance = np.clip(probabilities[np.arange(rows), truth.astype(np.int64)].astype(np.float64), margin, 1 - margin)
    return {
        "brier": float(squares[:, 1].mean() if classes == 2 else squares.sum(axis=1).mean()),
        "expected_calibration_error": float(gaps.sum() / counts.sum()),
        "log_loss": float(-np.log(chance).mean()),
    }


def roc_auc(truth: np.ndarray, score: np.ndarray) -> float | None:
    """The chance that a row of class 1 scores above one of class 0, ties counted half."""
    positives = int((truth == 1).sum())
    negatives = len(truth) - positives
    if positives == 0 or negatives == 0:
        return None
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2
    return float((rank[place][truth == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def log_loss(truth: np.ndarray, probability: np.ndarray) -> float:
    """Mean negative log-likelihood; a probability of exactly 0 or 1 is moved inwards by a float32's epsilon."""
    margin = float(np.finfo(np.float32).eps)
    probability = np.clip(probability.astype(np.float64), margin, 1 - margin)
    return float(-np.where(truth == 1, np.log(probability), np.log1p(-probability)).mean())


def _mean(values: np.ndarray) -> float | None:
    """Over the classes for which it is defined."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else None


def _matthews(confusion: np.ndarray) -> float | None:
    right, total = confusion.trace(), confusion.sum()
    actual, guessed = confusion.sum(axis=1), confusion.sum(axis=0)
    spread = (total**2 - (actual**2).sum()) * (total**2 - (guessed**2).sum())
    return float((right * total - (actual * guessed).sum()) / np.sqrt(spread)) if spread > 0 else None
