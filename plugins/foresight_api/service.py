"""What a process of the API holds: sessions, the journal, the predictor. Made at the first request, not at import."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cachetools import TTLCache

from include.foresight import api_keys, clients, replication
from include.foresight.api_keys import ServiceKey
from include.foresight.clients import Client
from include.foresight.database import PRIMARY, REPLICA, Transaction, is_unavailable
from include.foresight.errors import DatabaseBusy, ForesightError
from include.foresight.journal import Journal
from include.foresight.serving import PooledDatabases, Predictor

log = logging.getLogger(__name__)

# A key that is revoked and a client that is switched off are so for every process after this.
FRESH_SECONDS = 3.0
# What the primary may take to say so; when it does not answer, it is left alone for so long.
REGISTRY_SECONDS = 2.0
AWAY_SECONDS = 5.0
# Meanwhile a replica's copy is believed that is not older. sync_clients makes a heartbeat every minute.
OLDEST_COPY_SECONDS = 900.0


class RegistryUnavailable(ForesightError):
    """The primary does not answer, and the replica's copy of the registry is too old to be believed."""


@dataclass
class Service:
    databases: PooledDatabases
    journal: Journal
    predictor: Predictor

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: TTLCache = TTLCache(1000, FRESH_SECONDS)
        self._clients: TTLCache = TTLCache(5000, FRESH_SECONDS)
        self._looking, self._ready = threading.Lock(), (False, 0.0)
        # When the primary may be asked again; 0: it answers.
        self._primary_due = 0.0

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
            known = self._registered(lambda fleet: api_keys.check(fleet, key))
            with self._lock:
                self._keys[held] = known
        return known

    def client(self, client_id: int) -> Client:
        """An active client that is provisioned; raises UnknownClient."""
        with self._lock:
            known = self._clients.get(client_id)
        if known is None:
            known = self._registered(lambda fleet: clients.read_by_id(fleet, client_id))
            with self._lock:
                self._clients[client_id] = known
        return known

    def clients_of_person(self, name: str, roles: list[str]) -> list[int]:
        """The clients that an Airflow user acts for, by name or by role."""
        values = {"user": name, "roles": roles}
        rows = self._registered(lambda fleet: fleet.all("clients/of_person", values))
        return [row["client_id"] for row in rows]

    def ready(self) -> bool:
        """Whether a database answers. One of those who ask looks; the others are told what the last look found."""
        if self._looking.acquire(blocking=False):
            try:
                found, until = self._ready
                if time.monotonic() > until:
                    found = any(map(self._answers, (PRIMARY, REPLICA)))
                    self._ready = found, time.monotonic() + FRESH_SECONDS
            finally:
                self._looking.release()
        return self._ready[0]

    def _answers(self, conn_id: str) -> bool:
        try:
            with self.databases.session(conn_id) as session, session.as_fleet(REGISTRY_SECONDS):
                return True
        except DatabaseBusy:  # with answers to others
            return True
        except Exception as error:
            log.warning("%s: %s", conn_id, error)
            return False

    def of_clients(self, clients: Sequence[int], read: Callable[[Transaction], list[Any]]) -> list[Any]:
        """What is read on the primary as each of the clients, together."""
        found: list[Any] = []
        with self.databases.primary() as primary:
            for client_id in clients:
                with primary.as_client(client_id) as tx:
                    found += read(tx)
        return found

    def _registered(self, ask: Callable[[Transaction], Any]) -> Any:
        """What the registry says: the primary's, for a copy has yesterday's keys where replication stands still. While
        the primary does not answer, a copy that is not too old."""
        if self._primary_may_be_asked():
            try:
                with self.databases.primary() as session, session.as_fleet(REGISTRY_SECONDS) as fleet:
                    found = ask(fleet)
            except Exception as error:
                if not is_unavailable(error):
                    raise
                self._primary_due = time.monotonic() + AWAY_SECONDS
                log.warning("the primary does not answer; for %.0f s a replica is asked who may ask", AWAY_SECONDS)
            else:
                self._primary_due = 0.0
                return found
        with self.databases.session(REPLICA) as session, session.as_fleet(REGISTRY_SECONDS) as fleet:
            age = replication.age(fleet)
            if age is None or age > OLDEST_COPY_SECONDS:
                raise RegistryUnavailable("the primary does not answer, and the replica has long had nothing new of it")
            return ask(fleet)

    def _primary_may_be_asked(self) -> bool:
        """One request at a time tries a primary that was away."""
        with self._lock:
            if self._primary_due > time.monotonic():
                return False
            if self._primary_due:
                self._primary_due = time.monotonic() + AWAY_SECONDS
            return True
