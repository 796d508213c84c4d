"""The rows of the generated clients while they are being made, and how times and gaps are spelled in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd

HOUR = 3600
DAY = 24 * HOUR


@dataclass
class Book:
    """All rows so far, by table. Times are seconds since 1970 in UTC until they are written down."""

    end: int
    frames: dict[str, list[pd.DataFrame]] = field(default_factory=dict)
    last_ids: dict[str, int] = field(default_factory=dict)

    def add(self, table: str, columns: Mapping[str, object]) -> pd.Series:
        """Write rows down and give them ids, which are returned."""
        frame = pd.DataFrame(columns)
        first = self.last_ids.get(table, 0) + 1
        self.last_ids[table] = first + len(frame) - 1
        frame.insert(0, "id", np.arange(first, first + len(frame)))
        self.frames.setdefault(table, []).append(frame)
        return frame["id"]

    def link(self, table: str, columns: Mapping[str, object]) -> None:
        """Write down rows of a table that has no id."""
        self.frames.setdefault(table, []).append(pd.DataFrame(columns))

    def tables(self) -> dict[str, pd.DataFrame]:
        return {table: pd.concat(frames, ignore_index=True) for table, frames in self.frames.items()}

    def written(self, happened: np.ndarray) -> np.ndarray:
        """When the platform's hourly job wrote down what happened at these times."""
        return np.minimum(np.ceil(np.asarray(happened, dtype="float64") / HOUR) * HOUR + 240, self.end)


def seconds(moment: datetime) -> int:
    return int(np.datetime64(moment, "s").astype("int64"))


def moments(values: object, known: object = True) -> pd.Series:
    """Seconds since 1970 as timestamps; NaN, and what is not `known`, is missing."""
    numbers = np.atleast_1d(np.asarray(values, dtype="float64"))
    present = np.isfinite(numbers) & known
    stamps = np.full(len(numbers), np.datetime64("NaT", "s"))
    stamps[present] = np.floor(numbers[present]).astype("int64").astype("datetime64[s]")
    return pd.Series(stamps)


def whole(values: object, known: object = True) -> pd.Series:
    """Whole numbers, of which those that are NaN or not `known` are missing."""
    numbers = np.asarray(values, dtype="float64")
    return pd.Series(np.where(known, numbers, np.nan)).astype("Int64")


def some(values: object, known: object) -> pd.Series:
    """Texts, of which those not `known` are missing."""
    series = pd.Series(np.asarray(values, dtype=object))
    return series.where(np.asarray(known, dtype=bool), None)
