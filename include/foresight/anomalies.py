"""Unusual answers of a night: each kind is one statement of sql/anomalies, and says in a sentence what is unusual.

(Unusual data, their volume, age, clocks and shares, are the checks' affair: sql/checks.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from include.foresight.database import Transaction
from include.foresight.model_specs import ModelSpec
from include.foresight.sql import ROOT, text

# What an answer is told in, and how much of it that is.
UNITS = {"points": (" points", 1.0), "seconds": (" days", 86400.0), "probability": ("", 1.0)}

# Of one kind in one night; beyond it nobody reads.
MOST = 50


@dataclass(frozen=True)
class Anomaly:
    kind: str
    entity_id: int
    entity_key: str | None
    severity: str
    sentence: str


def kinds() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (ROOT / "anomalies").glob("*.sql")))


def look(tx: Transaction, run: Mapping[str, Any], spec: ModelSpec) -> list[Anomaly]:
    """Those of one model's answers in a run (`run_id`, `client_id`), on the primary as the client."""
    unit, unit_size = UNITS[spec.unit]
    values = {
        "client_id": run["client_id"],
        "run_id": run["run_id"],
        "model": spec.model,
        "entity": spec.entity,
        "elapses": spec.unit == "seconds",
        "unit": unit,
        "unit_size": unit_size,
        "most": MOST,
    }
    return [
        Anomaly(kind, **row)
        for kind in kinds()
        for row in tx.execute(sql.SQL(text(f"anomalies/{kind}")), values).fetchall()
    ]


def record(tx: Transaction, run: Mapping[str, Any], model: str, found: list[Anomaly]) -> None:
    """Keep what a run has found, in place of what it found before."""
    values = {"run_id": run["run_id"], "client_id": run["client_id"], "model": model}
    tx.run("anomalies/forget", values)
    for kind in sorted({one.kind for one in found}):
        mine = [one for one in found if one.kind == kind]
        names = ("entity_id", "entity_key", "severity", "sentence")
        columns = {name: [getattr(one, name) for one in mine] for name in names}
        tx.run("anomalies/record", values | {"kind": kind} | columns)
