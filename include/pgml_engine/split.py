"""Which rows a model learns from and which test it. In every mode the last rows of an order are the test rows."""

from __future__ import annotations

import math

import numpy as np

from .errors import BadData, PgmlError

SAMPLINGS = ("random", "last", "stratified")

# Parts into which the labels of a regression are cut, so that train and test rows cover the same range.
LABEL_PARTS = 10


def refuse_unknown(sampling: str | None) -> None:
    if sampling not in SAMPLINGS:
        raise PgmlError(f"test_sampling must be one of {', '.join(SAMPLINGS)}, got {sampling}")


def rows_to_test(rows: int, test_size: float) -> int:
    """How many rows are tested on: up to 1 a share of the rows, rounded; above 1 a number of rows, cut."""
    if not test_size > 0:
        raise PgmlError(f"test_size must be above 0 (a share up to 1, or a number of rows), got {test_size:g}")
    count = math.floor(rows * test_size + 0.5) if test_size <= 1 else int(test_size)
    if count == 0:
        raise BadData(f"test_size {test_size:g} of {rows} rows leaves no row to test on")
    if count >= rows:
        raise BadData(f"test_size {test_size:g} of {rows} rows leaves no row to train on")
    return count


def order(labels: np.ndarray, sampling: str, task: str, seed: int, moments: np.ndarray | None = None) -> np.ndarray:
    """Row numbers in the order whose last rows are the test rows: by `moments` when there are any."""
    rows = len(labels)
    if moments is not None:
        return np.argsort(moments, kind="stable")
    if sampling == "last":
        return np.arange(rows)
    # RandomState and not Generator: its streams are promised to stay the same in later releases of numpy.
    shuffled = np.random.RandomState(seed).permutation(rows)
    return shuffled if sampling == "random" else shuffled[_stratified_order(labels[shuffled], task)]


def split(
    labels: np.ndarray, test_size: float, sampling: str, task: str, seed: int, moments: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the training and of the test rows, each ascending. The same input and seed give the same rows."""
    rows = len(labels)
    tested = rows_to_test(rows, test_size)
    ordered = order(labels, sampling, task, seed, moments)
    return np.sort(ordered[: rows - tested]), np.sort(ordered[rows - tested :])


def folds(ordered: np.ndarray, training: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and validation rows per fold, each ascending: contiguous pieces of the training rows in their order of
    sampling, so each has its share of every class when that is stratified, and no test row."""
    kept = ordered[np.isin(ordered, training)]
    pieces = np.array_split(kept, count)
    return [
        (np.sort(np.concatenate([*pieces[:place], *pieces[place + 1 :]])), np.sort(piece))
        for place, piece in enumerate(pieces)
    ]


def _stratified_order(labels: np.ndarray, task: str) -> np.ndarray:
    """An order of which every tail has each stratum in its share: each row stands at its stratum's own quantile."""
    rows = len(labels)
    if task == "classification":
        strata = np.unique(labels, return_inverse=True)[1]
    else:
        strata = np.empty(rows, dtype=np.int64)
        strata[_places(_ranked(labels))] = np.arange(rows) * LABEL_PARTS // rows
    sizes = np.bincount(strata)
    # Small numbers are sorted by their digits, in a tenth of the time.
    small = strata.astype(np.uint16) if len(sizes) < 2**16 else strata
    grouped = np.argsort(small, kind="stable")
    rank = np.empty(rows, dtype=np.int64)
    rank[grouped] = np.arange(rows) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return _places(((rank + 0.5) / sizes[strata] * 2**31).astype(np.int64))


def _ranked(values: np.ndarray) -> np.ndarray:
    """Whole numbers of 32 bits in the order of these reals."""
    bits = (values.astype(np.float32) + np.float32(0)).view(np.int32)
    return np.where(bits < 0, bits ^ 0x7FFFFFFF, bits)


def _places(keys: np.ndarray) -> np.ndarray:
    """A stable argsort of whole numbers of 32 bits: with their places behind them a plain sort, ten times as fast."""
    together = (keys.astype(np.int64) << 32) | np.arange(len(keys))
    together.sort()
    return together & 0xFFFFFFFF
