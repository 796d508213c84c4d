"""How what is asked about has moved: each feature, and the answers, lately beside the time before.

Computed in the database from the first answers that the nights gave about each entity. A column drifts when its mean
has moved by more than luck explains (Welch's test, its level shared by all columns that are looked at) and by enough to
matter: with many rows luck explains next to nothing. While either side has too few rows a client is warming up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from include.foresight.clients import Client
from include.foresight.database import Transaction
from include.foresight.model_specs import ModelSpec

LATELY_DAYS = 30
BEFORE_DAYS = 210
LEAST = 30
LEVEL = 0.05
# Half of what is called a medium effect; at 200 rows a shift of 0.5 is far beyond it.
SMALLEST = 0.25

WARMING_UP, STEADY, DRIFTING = "warming up", "steady", "drifting"


@dataclass(frozen=True)
class Shift:
    """`effect`: by how many standard deviations the mean has moved; `luck`: how likely it moves so far by itself.
    `beyond_luck`: at 5 % for all columns together. While it is warming up there is neither."""

    name: str
    rows_before: int
    rows_recent: int
    mean_before: float | None
    mean_recent: float | None
    effect: float = 0.0
    luck: float = 1.0
    beyond_luck: bool = False
    warming_up: bool = False

    @property
    def state(self) -> str:
        if self.warming_up:
            return WARMING_UP
        return DRIFTING if self.beyond_luck and abs(self.effect) >= SMALLEST else STEADY


def read(tx: Transaction, client: Client, spec: ModelSpec) -> list[Shift]:
    """On the primary, largest effect first; those that are warming up and constants are left out."""
    return [one for one in look(tx, client, spec) if not one.warming_up]


def look(tx: Transaction, client: Client, spec: ModelSpec) -> list[Shift]:
    """On the primary: every column that is not constant, largest effect first, then what is warming up."""
    values = {"client_id": client.client_id, "model": spec.model, "days": LATELY_DAYS, "before_days": BEFORE_DAYS}
    rows = tx.all("drift/features", values)
    known = [row for row in rows if min(row["rows_before"], row["rows_recent"]) >= LEAST]
    # Of a constant the server may find a variance of a rounding error.
    moving = [row for row in known if row["variance_before"] > 1e-12 * max(1.0, row["mean_before"] ** 2)]
    found = [_shift(row, len(moving)) for row in moving]
    found.sort(key=lambda one: (-abs(one.effect), one.name))
    return found + [
        Shift(
            row["name"],
            row["rows_before"],
            row["rows_recent"],
            row["mean_before"],
            row["mean_recent"],
            warming_up=True,
        )
        for row in rows
        if min(row["rows_before"], row["rows_recent"]) < LEAST
    ]


def record(tx: Transaction, run: Mapping[str, Any], model: str, found: list[Shift]) -> None:
    """Keep what a run (`run_id`, `client_id`) has found, in place of what it found before."""
    values = {"run_id": run["run_id"], "client_id": run["client_id"], "model": model}
    tx.run("drift/forget", values)
    rows = [asdict(one) | {"state": one.state} for one in found]
    names = ("name", "state", "rows_before", "rows_recent", "mean_before", "mean_recent", "effect", "luck")
    tx.run("drift/record", values | {name: [row[name] for row in rows] for name in names})


def _shift(row: Mapping[str, Any], looked_at: int) -> Shift:
    moved = row["mean_recent"] - row["mean_before"]
    error = math.sqrt(row["variance_before"] / row["rows_before"] + row["variance_recent"] / row["rows_recent"])
    luck = _two_sided(moved / error, _freedom(row))
    return Shift(
        row["name"],
        row["rows_before"],
        row["rows_recent"],
        row["mean_before"],
        row["mean_recent"],
        moved / math.sqrt(row["variance_before"]),
        luck,
        luck < LEVEL / looked_at,
    )


def _freedom(row: Mapping[str, Any]) -> float:
    """Welch and Satterthwaite's degrees of freedom."""
    parts = [(row[f"variance_{side}"] / row[f"rows_{side}"], row[f"rows_{side}"] - 1) for side in ("before", "recent")]
    return sum(part for part, _ in parts) ** 2 / sum(part**2 / freedom for part, freedom in parts if part)


def _two_sided(distance: float, freedom: float) -> float:
    # Imported here: half a second that every task of a night would pay.
    from scipy import stats

    return float(2 * stats.t.sf(abs(distance), freedom))
