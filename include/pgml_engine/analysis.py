"""What a snapshot remembers of its columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from .preprocess import Step
from .relation import Column


def describe(column: Column, step: Step | None, values: Any) -> dict[str, Any]:
    """One column as PostgresML has it; `values` as in relation.Rows. `step` is None for the label.

    The statistics hold values of the caller's rows: they go into pgml.snapshots, never into a message.
    """
    step, label = step or Step(), step is None
    return {
        "name": column.name,
        "pg_type": column.type,
        "nullable": column.nullable,
        "label": label,
        "position": column.position,
        "size": values.shape[1] if column.kind == "array" else 1,
        "array": column.kind == "array",
        "preprocessor": {"encode": step.encode, "impute": step.impute, "scale": step.scale},
        "statistics": _counts(values) if column.kind == "text" else _statistics(values),
    }


def _counts(values: list[str | None]) -> dict[str, int]:
    return {"distinct": len(set(values) - {None}), "missing": sum(value is None for value in values)}


def _statistics(values: np.ndarray) -> dict[str, float | int] | None:
    present = values.astype(np.float64).ravel()
    missing = np.isnan(present)
    if missing.any():
        present = present[~missing]
    if len(present) == 0:
        return None
    low, high, mean = present.min(), present.max(), present.mean()
    apart = present - mean
    variance = np.dot(apart, apart) / len(apart)
    return {
        "min": float(low),
        "max": float(high),
        "max_abs": float(max(abs(low), abs(high))),
        "mean": float(mean),
        "variance": float(variance),
        "std_dev": float(np.sqrt(variance)),
        "missing": len(values) - len(present),
    }
