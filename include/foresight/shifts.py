"""How the rows that are asked about have shifted: each feature lately beside the time before.

Means in standard deviations of the time before, and whether luck explains it: Welch's test, its level shared by all
features that are looked at. Descriptive: nothing is decided by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from include.foresight.clients import Client
from include.foresight.database import Transaction
from include.foresight.model_specs import ModelSpec

LATELY_DAYS = 30
BEFORE_DAYS = 210
LEAST = 30
LEVEL = 0.05


@dataclass(frozen=True)
class Shift:
    """`effect`: by how many standard deviations the mean has moved. `beyond_luck`: at 5 % for all features together."""

    name: str
    rows_before: int
    rows_recent: int
    mean_before: float
    mean_recent: float
    effect: float
    beyond_luck: bool


def read(tx: Transaction, client: Client, spec: ModelSpec) -> list[Shift]:
    """On the primary, largest effect first; empty while either side has too few rows."""
    values = {"client_id": client.client_id, "model": spec.model, "days": LATELY_DAYS, "before_days": BEFORE_DAYS}
    rows = [
        row
        for row in tx.all("shifts/features", values)
        if min(row["rows_before"], row["rows_recent"]) >= LEAST
        # Of a constant the server may find a variance of a rounding error.
        and row["variance_before"] > 1e-12 * max(1.0, row["mean_before"] ** 2)
    ]
    found = []
    for row in rows:
        moved = row["mean_recent"] - row["mean_before"]
        error = math.sqrt(row["variance_before"] / row["rows_before"] + row["variance_recent"] / row["rows_recent"])
        luck = math.erfc(abs(moved) / error / math.sqrt(2))
        found.append(
            Shift(
                row["name"],
                row["rows_before"],
                row["rows_recent"],
                row["mean_before"],
                row["mean_recent"],
                moved / math.sqrt(row["variance_before"]),
                luck < LEVEL / len(rows),
            )
        )
    return sorted(found, key=lambda one: (-abs(one.effect), one.name))
