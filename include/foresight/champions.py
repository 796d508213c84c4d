"""What serves a client: per model one row of ml.champions, moved by the promotion alone."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from include.foresight.database import Transaction


@dataclass(frozen=True)
class Champion:
    """`version` counts the changes of what serves. Without `pgml_model_id` the rung needs no model."""

    model: str
    version: int
    rung: str
    model_uuid: UUID | None
    model_name: str
    replica_conn_id: str
    pgml_model_id: int | None
    feature_hash: str | None


def read(tx: Transaction, client_id: int) -> dict[str, Champion]:
    """By model. On the primary, or on the replica from its own copy."""
    rows = tx.all("promotion/champions", {"client_id": client_id})
    return {row["model"]: Champion(**{name: row[name] for name in Champion.__dataclass_fields__}) for row in rows}
