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
    truth = truth.astype(np.int64)
    predicted = probabilities.argmax(axis=1)
    # rows are the truth, columns the prediction
    confusion = (
        np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes).astype(float)
    )
    right, actual, guessed = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = right / guessed, right / actual
        f1 = 2 * right / (actual + guessed)
    scored = slice(1, 2) if classes == 2 else slice(None)
    metrics = {
        "f1": _mean(f1[scored]),
        "precision": _mean(precision[scored]),
        "recall": _mean(recall[scored]),
        "accuracy": float(right.sum() / confusion.sum()),
        "mcc": _matthews(confusion),
    }
    if classes == 2:
        metrics["roc_auc"] = roc_auc(truth, probabilities[:, 1])
        metrics["log_loss"] = log_loss(truth, probabilities[:, 1])
    return metrics


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
