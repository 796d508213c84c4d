"""How what is asked about has moved: each feature, the answers, and the labels, lately beside the time before.

Computed in the database from the first answers that the nights gave about each entity; labels by when they came. A
column drifts when its mean has moved by more than luck explains (Welch's test, its level shared by all columns that are
looked at) and by enough to matter: with many rows luck explains next to nothing. While either side has too few rows a
client is warming up.
"""

from __future__ import annotations

import datetime
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from include.foresight.clients import Client
from include.foresight.database import Transaction
from include.foresight.model_specs import ModelSpec
from include.foresight.track_record import Outcome

LATELY_DAYS = 30
BEFORE_DAYS = 210
LEAST = 30
LEVEL = 0.05
# Half of what is called a medium effect; at 200 rows a shift of 0.5 is far beyond it.
SMALLEST = 0.25

WARMING_UP, STEADY, DRIFTING = "warming up", "steady", "drifting"

# The name of a column that no answer has: what came true. (The answers themselves are the statement's `prediction`.)
LABEL = "label"


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


def last(tx: Transaction, client: Client, spec: ModelSpec) -> list[Shift]:
    """On the primary: what the last night that looked has found, largest effect first, without what is warming up."""
    rows = tx.all("drift/last", {"client_id": client.client_id, "model": spec.model})
    looked_at = [row for row in rows if row["state"] != WARMING_UP]
    return [
        Shift(
            **{name: value for name, value in row.items() if name != "state"},
            beyond_luck=row["luck"] < LEVEL / len(looked_at),
        )
        for row in looked_at
    ]


def look(
    tx: Transaction,
    client: Client,
    spec: ModelSpec,
    known: Sequence[Outcome] = (),
    as_of: datetime.datetime | None = None,
) -> list[Shift]:
    """On the primary: every column that is not constant, largest effect first, then what is warming up. `known`: the
    outcomes, for the labels. `as_of`: as it was seen then."""
    values = {
        "client_id": client.client_id,
        "model": spec.model,
        "days": LATELY_DAYS,
        "before_days": BEFORE_DAYS,
        "until": as_of,
    }
    rows = tx.all("drift/features", values) + _labels(known)
    enough = [row for row in rows if min(row["rows_before"], row["rows_recent"]) >= LEAST]
    # Of a constant the server may find a variance of a rounding error.
    moving = [row for row in enough if row["variance_before"] > 1e-12 * max(1.0, row["mean_before"] ** 2)]
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


def recent(known: Sequence[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """Outcomes by when their label came: in the time before, and in the last days before the newest."""
    dated = [one for one in known if one.known_at is not None]
    if not dated:
        return [], []
    newest = max(one.known_at for one in dated)
    lately, earliest = (newest - datetime.timedelta(days=many) for many in (LATELY_DAYS, BEFORE_DAYS))
    return (
        [one for one in dated if earliest < one.known_at <= lately],
        [one for one in dated if one.known_at > lately],
    )


def _labels(known: Sequence[Outcome]) -> list[dict[str, Any]]:
    """As the statement gives a feature."""
    found: dict[str, Any] = {"name": LABEL}
    for side, rows in zip(("before", "recent"), recent(known), strict=True):
        labels = [one.label for one in rows]
        found[f"rows_{side}"] = len(labels)
        found[f"mean_{side}"] = statistics.fmean(labels) if labels else None
        found[f"variance_{side}"] = statistics.variance(labels) if len(labels) > 1 else 0.0
    return [found] if found["rows_before"] or found["rows_recent"] else []


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
