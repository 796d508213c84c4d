"""Keys of services: made here, shown once, kept as a digest. A key acts for one client, or for a named list of clients.

The digests are published to the replicas, so that keys can be checked while the primary is away. A key has 256 random
bits: a plain digest is enough, a slow one would protect nothing and cost every request.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from include.foresight.database import Session, Transaction
from include.foresight.errors import ConfigurationError, ForesightError

PREFIX = "fsk"


class KeyRefused(ForesightError):
    """The key is unknown, revoked or expired; which of them is nobody's business but the owner's."""


@dataclass(frozen=True)
class ServiceKey:
    """What a valid key may do. `clients` are ids. `any_of`: a request names the one that it is for."""

    key_id: str
    name: str
    clients: tuple[int, ...]
    any_of: bool


def issue(
    primary: Session, name: str, client_ids: Sequence[int], *, days: int | None = None, any_of: bool = False
) -> str:
    """Make a key and return it: the only time that anybody sees it. `any_of`: a request may name one of the clients."""
    with primary.as_fleet() as fleet:
        return _issue(fleet, name, client_ids, days, any_of)


def rotate(primary: Session, key_id: str, *, grace_days: int = 7) -> str:
    """A new key with the old one's rights; the old one goes on for some days. Both or neither."""
    with primary.as_fleet() as fleet:
        old = fleet.one("api_keys/by_id", {"key_id": key_id})
        if old is None or old["revoked_at"] is not None:
            raise ConfigurationError(f"there is no key '{key_id}' to rotate, or it is revoked")
        fleet.run("api_keys/expire", {"key_id": key_id, "days": grace_days})
        return _issue(fleet, old["name"], old["clients"], None, old["any_of"])


def _issue(fleet: Transaction, name: str, client_ids: Sequence[int], days: int | None, any_of: bool) -> str:
    if not client_ids:
        raise ConfigurationError(f"key '{name}' must be for a client at least")
    if len(client_ids) > 1 and not any_of:
        raise ConfigurationError(f"key '{name}' is for {len(client_ids)} clients: that needs the explicit grant")
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days) if days else None
    fleet.run(
        "api_keys/issue",
        {
            "key_id": key_id,
            "name": name,
            "digest": digest(secret),
            "clients": list(client_ids),
            "any_of": any_of,
            "expires_at": expires,
        },
    )
    return f"{PREFIX}_{key_id}_{secret}"


def revoke(primary: Session, key_id: str) -> None:
    with primary.as_fleet() as fleet:
        if fleet.run("api_keys/revoke", {"key_id": key_id}).rowcount != 1:
            raise ConfigurationError(f"there is no key '{key_id}', or it is revoked already")


def listed(primary: Session) -> list[dict[str, Any]]:
    with primary.as_fleet() as fleet:
        return fleet.all("api_keys/listed")


def parse(key: str) -> tuple[str, str]:
    """Id and secret. Raises KeyRefused for what is no key of ours."""
    parts = key.split("_", 2)
    if len(parts) != 3 or parts[0] != PREFIX or not parts[1] or not parts[2] or len(key) > 200:
        raise KeyRefused("the key is not valid")
    return parts[1], parts[2]


def check(fleet: Transaction, key: str) -> ServiceKey:
    """What the key may do, from a copy of the digests on a replica or from the primary."""
    key_id, secret = parse(key)
    row = fleet.one("api_keys/valid", {"key_id": key_id})
    # Compared also when there is no such key: the time must not tell.
    expected = bytes(row["digest"]) if row else bytes(32)
    if not hmac.compare_digest(expected, digest(secret)) or row is None:
        raise KeyRefused("the key is not valid")
    return ServiceKey(key_id, row["name"], tuple(row["clients"]), row["any_of"])


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
