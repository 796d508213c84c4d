"""Signals to the backend of a running statement, sent from a session of its own: to end a fit that does not listen to
a cancel, and to let replication through.

A signal is sent only while the guarded body runs: leaving the body waits for one that is being sent, so no later
statement of the session gets it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg

from include.foresight.clients import Client
from include.foresight.database import Databases, Session, Transaction, message
from include.foresight.errors import GaveWay
from include.foresight.sql import Statement, statement

log = logging.getLogger(__name__)

T = TypeVar("T")

# How often it is asked whether somebody waits for a statement that reads the copies.
LOOK_SECONDS = 1.0
# How long a transaction that reads the copies waits for one that has a copy for itself, before it tries again.
LOCK_SECONDS = 10.0
# How long a transaction that has to give way is tried again.
PATIENCE = 900.0


class Signalled(Exception):
    """A body came to its end although it was cancelled."""


class Guard:
    """Runs a statement of sql/statements/guard for the session's backend every so many seconds, until the body is left.

    The statement returns `signalled`: whether it has sent a signal.
    """

    def __init__(self, databases: Databases, conn_id: str, session: Session, look: Statement, seconds: float) -> None:
        self._databases, self._conn_id = databases, conn_id
        self._look, self._seconds = look, seconds
        self._pid = session.backend()
        self._lock, self._left = threading.Lock(), threading.Event()
        self._signalled = False
        self._thread = threading.Thread(target=self._run, name="guard", daemon=True)

    @property
    def signalled(self) -> bool:
        """Whether the backend was sent a signal; waits for one that is being sent."""
        with self._lock:
            return self._signalled

    def _run(self) -> None:
        while not self._left.wait(self._seconds):
            try:
                # Opened late: most bodies are left before the first look.
                with self._databases.session(self._conn_id) as other:
                    while not self._left.is_set():
                        self._once(other.connection)
                        self._left.wait(self._seconds)
            except psycopg.Error as error:
                log.warning("backend %s of %s is not looked at: %s", self._pid, self._conn_id, message(error))

    def _once(self, other: psycopg.Connection) -> None:
        with self._lock:
            if not self._left.is_set():
                (signalled,) = other.execute(self._look, {"pid": self._pid}).fetchone()
                self._signalled = self._signalled or signalled

    def __enter__(self) -> Guard:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._left.set()


def on_copies(
    databases: Databases,
    client: Client,
    session: Session,
    body: Callable[[Transaction], T],
    *,
    timeout: float,
    patience: float = PATIENCE,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """What `body` returns: one transaction of the client's that reads its copies on the replica, maybe for minutes.

    It gives way: it is cancelled when it keeps a session waiting that needs a copy for itself, and is run again after
    that one. Raises GaveWay when it still has to after `patience` seconds. `timeout`: seconds of one statement.
    """
    deadline = clock() + patience
    while True:
        with Guard(databases, client.replica_conn_id, session, statement("guard/give_way"), LOOK_SECONDS) as guard:
            try:
                with session.as_client(client.client_id, timeout=timeout, lock_timeout=LOCK_SECONDS) as tx:
                    found = body(tx)
                    # A body may have taken the cancel for a failure of what it asked.
                    if guard.signalled:
                        raise Signalled
                    return found
            except (
                Signalled,
                psycopg.errors.QueryCanceled,
                psycopg.errors.LockNotAvailable,
                psycopg.errors.DeadlockDetected,
            ) as error:
                if isinstance(error, psycopg.errors.QueryCanceled) and not guard.signalled:
                    raise
                if clock() >= deadline:
                    raise GaveWay(
                        f"client '{client.slug}': replication or set-up has needed the copies on "
                        f"'{client.replica_conn_id}' for themselves for {patience:.0f} s, so they could not be read"
                    ) from error
        log.info("client '%s': gave way to a session that needs a copy for itself; trying again", client.slug)
