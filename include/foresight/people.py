"""Which people act for which clients: users of Airflow by name, or all who have a role. The prediction API asks.

The rows are published to the replicas, for while the primary is away. Nobody acts for a client who is not named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from include.foresight import clients
from include.foresight.database import Session
from include.foresight.errors import ConfigurationError, UnknownClient

Kind = Literal["user", "role"]


@dataclass(frozen=True)
class Principal:
    """A user or a role, as Airflow's auth manager names it: upper and lower case are told apart."""

    kind: Kind
    name: str

    def __post_init__(self) -> None:
        if not self.name.strip() or self.name != self.name.strip() or len(self.name) > 255:
            raise ConfigurationError(f"'{self.name}' is no name of a {self.kind}: 1 to 255 characters, no space around")

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}'"


def allow(primary: Session, principal: Principal, slugs: Sequence[str]) -> None:
    """From now on the principal acts for these clients too. Raises UnknownClient, and changes nothing."""
    with primary.as_fleet() as fleet:
        for slug in slugs:
            fleet.run("people/allow", _values(principal, clients.read(fleet, slug).client_id))


def refuse(primary: Session, principal: Principal, slugs: Sequence[str]) -> None:
    """The principal acts for these clients, active or not, no longer. Raises ConfigurationError, and changes nothing,
    when it does not act for one of them: a name with a mistake in it would leave the right one in."""
    with primary.as_fleet() as fleet:
        for slug in slugs:
            row = fleet.one("clients/by_slug", {"slug": slug})
            if row is None:
                raise UnknownClient(clients.no_such(slug, [one.slug for one in clients.read_active(fleet)]))
            if fleet.run("people/refuse", _values(principal, row["client_id"])).rowcount != 1:
                raise ConfigurationError(f"{principal} does not act for client '{slug}'")


def listed(primary: Session) -> list[dict[str, Any]]:
    """kind, principal, clients (slugs)."""
    with primary.as_fleet() as fleet:
        return fleet.all("people/listed")


def _values(principal: Principal, client_id: int) -> dict[str, Any]:
    return {"client_id": client_id, "kind": principal.kind, "principal": principal.name}
