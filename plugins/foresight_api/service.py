"""What a process of the API holds: sessions, the journal, the predictor. Made at the first request, not at import."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cachetools import TTLCache

from include.foresight import api_keys, clients
from include.foresight.api_keys import KeyRefused, ServiceKey
from include.foresight.clients import Client
from include.foresight.database import PRIMARY, REPLICA, Transaction, is_away
from include.foresight.errors import UnknownClient
from include.foresight.journal import Journal
from include.foresight.serving import PooledDatabases, Predictor

# A key that is revoked and a client that is switched off are so for every process after this.
FRESH_SECONDS = 3.0


@dataclass
class Service:
    databases: PooledDatabases
    journal: Journal
    predictor: Predictor

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: TTLCache = TTLCache(1000, FRESH_SECONDS)
        self._clients: TTLCache = TTLCache(5000, FRESH_SECONDS)

    @classmethod
    def start(cls, conninfo: Callable[[str], str], folder: Path) -> Service:
        databases = PooledDatabases(conninfo)
        journal = Journal(folder, databases)
        return cls(databases, journal, Predictor(databases, journal.write))

    def stop(self) -> None:
        self.predictor.close()
        self.journal.close()
        self.databases.close()

    def check_key(self, key: str) -> ServiceKey:
        """Raises KeyRefused. A key that was good a moment ago is not asked for again, a bad one always is."""
        held = api_keys.digest(key)
        with self._lock:
            known = self._keys.get(held)
        if known is None:
            known = self._from_a_copy(lambda fleet: api_keys.check(fleet, key))
            with self._lock:
                self._keys[held] = known
        return known

    def client(self, client_id: int) -> Client:
        """An active client that is provisioned; raises UnknownClient."""
        with self._lock:
            known = self._clients.get(client_id)
        if known is None:
            known = self._from_a_copy(lambda fleet: clients.read_by_id(fleet, client_id))
            with self._lock:
                self._clients[client_id] = known
        return known

    def clients_of_person(self, name: str, roles: list[str]) -> list[int]:
        """The clients that an Airflow user acts for, by name or by role."""
        values = {"user": name, "roles": roles}
        rows = self._from_a_copy(lambda fleet: fleet.all("clients/of_person", values))
        return [row["client_id"] for row in rows]

    def of_clients(self, clients: Sequence[int], read: Callable[[Transaction], list[Any]]) -> list[Any]:
        """What is read on the primary as each of the clients, together."""
        found: list[Any] = []
        with self.databases.primary() as primary:
            for client_id in clients:
                with primary.as_client(client_id) as tx:
                    found += read(tx)
        return found

    def _from_a_copy(self, ask: Callable[[Transaction], object]):
        """The replica has copies of the registry and the keys; without it the primary is asked."""
        for conn_id in (REPLICA, PRIMARY):
            try:
                with self.databases.session(conn_id) as session, session.as_fleet() as fleet:
                    return ask(fleet)
            except (KeyRefused, UnknownClient):
                raise
            except Exception as error:
                if conn_id == PRIMARY or not (is_away(error) or isinstance(error, TimeoutError)):
                    raise
        raise AssertionError("unreachable")
