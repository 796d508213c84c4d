"""Connection poolers between us and a server. Our sessions need a process of the server each, for as long as they last:
locks, temporary tables, prepared statements and the switching of roles live in one."""

from __future__ import annotations

import contextlib
import select

import psycopg
from psycopg import pq

from include.foresight.errors import ConfigurationError
from include.foresight.sql import statement

# In a pool that others use, both connections may happen to get what they had.
LOOKS = 10
# How long a second connection waits for a process before the first is asked whether it still has its own.
HOLD_SECONDS = 1.0
# No process's number: there are poolers that open no transaction at all.
REFUSED = 0


def open_session(connection: psycopg.Connection) -> None:
    """Make a new connection ready for use; it is in autocommit. Raises ConfigurationError if it is no session of the
    server's: PgBouncer's pool modes transaction and statement, and whatever else works like them."""
    backend = connection.execute(statement("pooling/open")).fetchone()[0]
    # What a server says of itself when a connection is made, a pooler makes up.
    if backend != connection.info.backend_pid:
        _check_is_kept(connection, backend)


def _check_is_kept(connection: psycopg.Connection, backend: int) -> None:
    """A second connection takes a process for a transaction: the first must have its own meanwhile and afterwards."""
    place, password = connection.info.dsn, connection.info.password or None
    with contextlib.closing(psycopg.connect(place, password=password, autocommit=True)) as other:
        for _ in range(LOOKS):
            taken = _hold(other)
            kept = taken not in (REFUSED, backend) and _backend(connection) == backend
            if kept and taken is None:
                return  # it waits behind others, and the first did not
            if kept:
                other.execute("rollback")
                kept = _backend(connection) == backend
            if not kept:
                raise ConfigurationError(
                    f"{connection.info.host}:{connection.info.port}, database {connection.info.dbname}: a connection "
                    "pooler gives each transaction another session of the server. Foresight's locks, temporary tables "
                    "and prepared statements need one that stays: set pool_mode = session for this database in "
                    "PgBouncer, or connect to PostgreSQL itself"
                )


def _backend(connection: psycopg.Connection) -> int:
    return connection.execute(statement("pooling/backend"), prepare=False).fetchone()[0]


def _hold(connection: psycopg.Connection) -> int | None:
    """The process of a transaction that is now open here, or REFUSED; None: it still waits for one."""
    pgconn = connection.pgconn
    pgconn.send_query(statement("pooling/hold").as_bytes(connection))
    while pgconn.is_busy():
        if not select.select([pgconn.socket], [], [], HOLD_SECONDS)[0]:
            return None
        pgconn.consume_input()
    answers = []
    while answer := pgconn.get_result():
        answers.append(answer)
    return int(answers[-1].get_value(0, 0)) if answers[-1].status == pq.ExecStatus.TUPLES_OK else REFUSED
