"""Imputing and scaling of features: learned from the training rows, stored with the model, applied at every call."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import BadData, ColumnNotFound, NotSupported, PgmlError

IMPUTES = ("error", "mean", "median", "mode", "min", "max", "zero")
SCALES = ("preserve", "standard", "min_max", "max_abs", "robust")


@dataclass(frozen=True)
class Step:
    """What is asked for one column."""

    impute: str = "error"
    scale: str = "preserve"


@dataclass(frozen=True)
class Preprocessing:
    """What was learned: per feature the value for a missing one (NaN: that is an error), and (x - shift) / scale."""

    fill: np.ndarray
    shift: np.ndarray
    scale: np.ndarray

    def apply(self, features: np.ndarray) -> np.ndarray:
        """A new matrix. Each value by itself: a row's numbers do not depend on the rows beside it."""
        out = features.copy()
        for j in np.flatnonzero(~np.isnan(self.fill)):
            column = out[:, j]
            column[np.isnan(column)] = self.fill[j]
        for j in np.flatnonzero((self.shift != 0) | (self.scale != 1)):
            out[:, j] = (out[:, j].astype(np.float64) - self.shift[j]) / self.scale[j]
        return out

    def dump(self) -> bytes:
        fill = [None if np.isnan(value) else value for value in self.fill.tolist()]
        return json.dumps({"fill": fill, "shift": self.shift.tolist(), "scale": self.scale.tolist()}).encode()

    @classmethod
    def load(cls, data: bytes) -> Preprocessing:
        stored = json.loads(data)
        fill = [np.nan if value is None else value for value in stored["fill"]]
        return cls(
            np.array(fill, dtype=float), np.array(stored["shift"], dtype=float), np.array(stored["scale"], dtype=float)
        )


def parse(preprocess: dict[str, Any], features: list[str], label: str) -> dict[str, Step]:
    """The steps per column of `{"column": {"impute": ..., "scale": ...}}`; other columns are taken as they are."""
    steps = {}
    for column, wanted in preprocess.items():
        if column == label:
            raise NotSupported(f'preprocess: "{column}" is the label; only feature columns can be preprocessed')
        if column not in features:
            raise ColumnNotFound(
                f'preprocess: the relation has no feature column "{column}"; it has: {", ".join(features)}'
            )
        if not isinstance(wanted, dict):
            raise PgmlError(
                f'preprocess: "{column}" must be an object such as {{"impute": "mean", "scale": "standard"}}'
            )
        for key, word in wanted.items():
            allowed = {"impute": IMPUTES, "scale": SCALES, "encode": ("native",)}.get(key)
            if allowed is None:
                raise PgmlError(f'preprocess: "{column}" has the unknown key "{key}"; known are impute, scale, encode')
            if key == "encode" and word != "native":
                raise NotSupported(
                    f'preprocess: encode {json.dumps(word)} of "{column}" is not supported: columns must be numbers'
                )
            if word not in allowed:
                raise PgmlError(
                    f'preprocess: {key} of "{column}" must be one of {", ".join(allowed)}; got {json.dumps(word)}'
                )
        steps[column] = Step(wanted.get("impute", "error"), wanted.get("scale", "preserve"))
    return steps


def fit(steps: dict[str, Step], names: list[str], training: np.ndarray) -> Preprocessing | None:
    """Learn from the training rows (rows x features). None when there is nothing to do."""
    if all(step == Step() for step in steps.values()):
        return None
    fill, shift, scale = np.full(len(names), np.nan), np.zeros(len(names)), np.ones(len(names))
    for name, step in steps.items():
        j = names.index(name)
        column = training[:, j].astype(np.float64)
        present = np.sort(column[~np.isnan(column)])
        if len(present) == 0:
            raise BadData(f'column "{name}" has no value in any training row: nothing can be learned from it')
        if step.impute != "error":
            fill[j] = _fill(step.impute, present)
            # What the model sees, and so what scaling is learned from, has the missing values filled in.
            present = np.sort(np.where(np.isnan(column), fill[j], column))
        shift[j], scale[j] = _scaling(step.scale, present)
    return Preprocessing(fill, shift, scale)


def refuse_missing(features: np.ndarray, names: list[str]) -> None:
    """What is still missing after imputing is an error, as in PostgresML."""
    missing = np.isnan(features).sum(axis=0)
    for j in np.flatnonzero(missing):
        raise BadData(
            f'column "{names[j]}" holds {missing[j]} missing values (NULL or NaN) in {len(features)} rows',
            hint="Leave the rows out, fill them in the view, or ask for preprocess with impute.",
        )


def _fill(impute: str, ordered: np.ndarray) -> float:
    match impute:
        case "mean":
            return float(ordered.mean())
        case "median":
            return float(ordered[len(ordered) // 2])
        case "mode":
            values, counts = np.unique(ordered, return_counts=True)
            tied = values[counts == counts.max()]
            return float(tied[len(tied) // 2])
        case "min":
            return float(ordered[0])
        case "max":
            return float(ordered[-1])
        case _:
            return 0.0


def _scaling(scale: str, ordered: np.ndarray) -> tuple[float, float]:
    """Shift and divisor. A column that does not vary is only shifted: there is no spread to divide by."""
    match scale:
        case "standard":
            shift, by = ordered.mean(), ordered.std()
        case "min_max":
            shift, by = ordered[0], ordered[-1] - ordered[0]
        case "max_abs":
            shift, by = 0.0, np.abs(ordered).max()
        case "robust":
            shift = ordered[len(ordered) // 2]
            by = ordered[len(ordered) * 3 // 4] - ordered[len(ordered) // 4]
        case _:
            shift, by = 0.0, 1.0
    return float(shift), float(by) or 1.0
