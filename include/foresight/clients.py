"""A client: one row of the registry."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from include.foresight import names
from include.foresight.database import Transaction
from include.foresight.errors import UnknownClient

# As many clients as a message names.
SHOWN = 10


@dataclass(frozen=True)
class Client:
    """`overrides`: by model, settings and bounds that differ from the spec's; by `checks`, thresholds of checks."""

    client_id: int
    slug: str
    name: str
    active: bool = True
    ml_predictions_enabled: bool = True
    schedule: str | None = None
    time_zone: str = "UTC"
    replica_conn_id: str = "foresight_replica"
    clock: str = "wall"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    alert_emails: tuple[str, ...] = ()
    alert_webhook_conn_id: str | None = None
    provisioned: bool = False

    @property
    def role(self) -> str:
        return names.client_role(self.client_id)

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Client:
        values = {name: row[name] for name in cls.__dataclass_fields__ if name not in ("alert_emails", "provisioned")}
        return cls(**values, alert_emails=tuple(row["alert_emails"]), provisioned=row["provisioned_at"] is not None)


def no_such(slug: str, known: Sequence[str]) -> str:
    """That there is no client of that slug, and which there are: of many, those that are spelled alike."""
    alike = known if len(known) <= SHOWN else difflib.get_close_matches(slug, known, SHOWN) or known[:SHOWN]
    more = f" and {len(known) - len(alike)} more" if len(alike) < len(known) else ""
    return f"the registry (ml.clients) has no client '{slug}': there are {', '.join(alike) or 'none'}{more}"


def read(fleet: Transaction, slug: str) -> Client:
    """The active, provisioned client of that slug."""
    row = fleet.one("clients/by_slug", {"slug": slug})
    if row is None:
        raise UnknownClient(no_such(slug, [client.slug for client in read_active(fleet)]))
    client = Client.of_row(row)
    if not client.active:
        raise UnknownClient(f"client '{slug}' is not active in the registry")
    if not client.provisioned:
        raise UnknownClient(f"client '{slug}' is not provisioned yet: the DAG sync_clients does that")
    return client


def read_by_id(fleet: Transaction, client_id: int) -> Client:
    """The active, provisioned client of that id, from the primary or from a replica's copy."""
    row = fleet.one("clients/by_id", {"client_id": client_id})
    if row is None or not row["active"] or row["provisioned_at"] is None:
        raise UnknownClient(f"there is no active client {client_id}")
    return Client.of_row(row)


def read_active(fleet: Transaction) -> list[Client]:
    """Every active client, provisioned or not, by slug."""
    return [Client.of_row(row) for row in fleet.all("clients/active")]
