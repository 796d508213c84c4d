"""What a snapshot remembers of its columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from .preprocess import Step
from .relation import Column


def describe(column: Column, step: Step | None, values: np.ndarray) -> dict[str, Any]:
    """One column as PostgresML has it; `values` are its numbers, NaN where missing. `step` is None for the label.

    The statistics hold values of the caller's rows: they go into pgml.snapshots, never into a message.
    """
    step, label = step or Step(), step is None
    return {
        "name": column.name,
        "pg_type": column.type,
        "nullable": column.nullable,
        "label": label,
        "position": column.position,
        "size": 1,
        "array": False,
        "preprocessor": {"encode": "native", "impute": step.impute, "scale": step.scale},
        "statistics": _statistics(values),
    }


def _statistics(values: np.ndarray) -> dict[str, float | int] | None:
    present = values.astype(np.float64)
    present = present[~np.isnan(present)]
    if len(present) == 0:
        return None
    low, high, variance = present.min(), present.max(), present.var()
    return {
        "min": float(low),
        "max": float(high),
        "max_abs": float(max(abs(low), abs(high))),
        "mean": float(present.mean()),
        "variance": float(variance),
        "std_dev": float(np.sqrt(variance)),
        "missing": len(values) - len(present),
    }
