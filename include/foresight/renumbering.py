"""Predictions whose entity has another id now: the platform has loaded its tables anew, or has renamed a key.

What joins predictions to the platform's rows asks for id and key, so such a prediction is shown beside nothing. A check
tells of them (sql/checks/renumbered_entities.sql); the next enrichment takes them away.
"""

from __future__ import annotations

import logging

from psycopg import sql

from include.foresight import guard
from include.foresight.clients import Client
from include.foresight.database import Databases, Session, Transaction

log = logging.getLogger(__name__)

# Where the newest predictions are, by entity.
PREDICTIONS = {"issue": "issue_predictions", "pull_request": "pull_request_predictions"}

COMPARE_SECONDS = 60.0


def predicted(tx: Transaction, client_id: int) -> str:
    """On the primary: the entities of the newest predictions, [{entity, entity_id, entity_key}], as JSON."""
    return tx.one("renumbering/predicted", {"client_id": client_id})["predicted"]


def forget(databases: Databases, primary: Session, replica: Session, client: Client) -> int:
    """Delete the newest predictions of what has another id now; how many. The log keeps them."""
    with primary.as_client(client.client_id) as tx:
        values = {"client_id": client.client_id, "predicted": predicted(tx, client.client_id)}
    gone = guard.on_copies(
        databases, client, replica, lambda tx: tx.all("renumbering/renumbered", values), timeout=COMPARE_SECONDS
    )
    deleted = 0
    with primary.as_client(client.client_id) as tx:
        for entity in sorted({row["entity"] for row in gone}):
            rows = [row for row in gone if row["entity"] == entity]
            columns = {f"{name}s": [row[name] for row in rows] for name in ("entity_id", "entity_key")}
            deleted += tx.run("renumbering/forget", columns | {"client_id": client.client_id}, **table(entity)).rowcount
    if deleted:
        log.warning("%s: %s predictions of what has another id or key now are taken away", client.slug, deleted)
    return deleted


def table(entity: str) -> dict[str, sql.Identifier]:
    """The table of the newest predictions of these entities, and its column of ids, for a statement."""
    return {
        "predictions": sql.Identifier("ml", PREDICTIONS[entity]),
        "entity_id": sql.Identifier(f"{entity}_id"),
    }
