"""Sessions and transactions. The login has no rights of its own: every transaction is some role's, to its end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from include.foresight import names
from include.foresight.errors import ClientBusy
from include.foresight.sql import Statement, statement

PRIMARY = "foresight_primary"
REPLICA = "foresight_replica"

Values = Mapping[str, Any] | None
Hole = sql.Composable | str


@dataclass
class Longest:
    """The statement that a session has waited for longest, by its path in sql/statements."""

    seconds: float = 0.0
    statement: str = ""

    def forget(self) -> None:
        self.seconds, self.statement = 0.0, ""

    def saw(self, query: sql.Composable, seconds: float) -> None:
        if seconds > self.seconds:
            self.seconds, self.statement = seconds, query.path if isinstance(query, Statement) else "composed"


@dataclass(frozen=True)
class Transaction:
    """One open transaction of one role."""

    connection: psycopg.Connection
    longest: Longest = field(default_factory=Longest, compare=False)

    def savepoint(self) -> contextlib.AbstractContextManager[Any]:
        """A part that may fail and be undone while the transaction goes on."""
        return self.connection.transaction()

    def run(self, path: str, values: Values = None, /, **holes: Hole) -> psycopg.Cursor:
        """Run sql/statements/<path>.sql; the cursor gives rows as dicts."""
        return self.execute(statement(path, **holes), values)

    def execute(self, query: sql.Composable, values: Values = None) -> psycopg.Cursor:
        return self._execute(self.connection.cursor(row_factory=dict_row), query, values)

    def define(self, query: sql.Composable, values: Mapping[str, Any]) -> psycopg.Cursor:
        """Run a statement that defines something from values (`create table as`): the server takes no parameters there,
        so the driver quotes them into the text."""
        return self._execute(psycopg.ClientCursor(self.connection, row_factory=dict_row), query, values)

    def _execute(self, cursor: psycopg.Cursor, query: sql.Composable, values: Values) -> psycopg.Cursor:
        began = time.monotonic()
        try:
            return cursor.execute(query, values)
        finally:
            self.longest.saw(query, time.monotonic() - began)

    def one(self, path: str, values: Values = None, /, **holes: Hole) -> dict[str, Any] | None:
        return self.run(path, values, **holes).fetchone()

    def all(self, path: str, values: Values = None, /, **holes: Hole) -> list[dict[str, Any]]:
        return self.run(path, values, **holes).fetchall()


def is_away(error: Exception) -> bool:
    """Whether the server, not the statement, is the trouble: no connection, no resources, shutting down. Asking again
    may help. (psycopg's OperationalError is wider: a cancelled statement and an error inside PL/Python are some.)"""
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    return error.sqlstate is None or (error.sqlstate[:2] in ("08", "53", "57") and error.sqlstate != "57014")


def message(error: Exception) -> str:
    """What went wrong, without the context that a server adds."""
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return (said or str(error)).strip()


Opened = contextlib.AbstractContextManager[Transaction]


@dataclass(frozen=True)
class Session:
    """A connection of the application's login, in autocommit: transactions are opened by name of their role."""

    connection: psycopg.Connection
    longest: Longest = field(default_factory=Longest, compare=False)

    @contextlib.contextmanager
    def transaction(
        self, role: str, *, search_path: Sequence[str] = (), timeout: float | None = None
    ) -> Iterator[Transaction]:
        """A transaction as `role`. `timeout`: seconds that one statement may take on the server."""
        with self.connection.transaction():
            self._set("role", role)
            if search_path:
                self._set("search_path", *search_path)
            if timeout is not None:
                self._set("statement_timeout", f"{int(timeout * 1000)}ms")
            yield Transaction(self.connection, self.longest)

    def as_client(
        self, client_id: int, *, timeout: float | None = None
    ) -> contextlib.AbstractContextManager[Transaction]:
        """A transaction of the client's role. Its own schema comes first, so a statement need not know its name."""
        path = (names.client_schema(client_id), "ml", "public")
        return self.transaction(names.client_role(client_id), search_path=path, timeout=timeout)

    def as_fleet(self) -> Opened:
        return self.transaction(names.FLEET)

    def _set(self, name: str, *values: str) -> None:
        joined = sql.SQL(", ").join(map(sql.Literal, values))
        self.connection.execute(sql.SQL("set local {} to {}").format(sql.Identifier(name), joined))


@dataclass(frozen=True)
class Databases:
    """Opens sessions by the name of their Airflow connection. `connect` gives a new psycopg connection each time."""

    connect: Callable[[str], psycopg.Connection]

    @contextlib.contextmanager
    def session(self, conn_id: str) -> Iterator[Session]:
        connection = self.connect(conn_id)
        try:
            connection.autocommit = True
            # Messages print values of rows; nothing in a log may. PostgresML's INFO comes all the same, and the driver
            # drops what nobody listens to.
            connection.execute("set client_min_messages to warning")
            yield Session(connection)
        finally:
            connection.close()

    def primary(self) -> contextlib.AbstractContextManager[Session]:
        return self.session(PRIMARY)

    @contextlib.contextmanager
    def locked(self, client_id: int) -> Iterator[Session]:
        """A session on the primary that holds the client's lock. It ends with the session, however that ends."""
        with self.primary() as session:
            if not session.connection.execute(statement("database/try_lock"), {"client_id": client_id}).fetchone()[0]:
                raise ClientBusy(f"client {client_id}: another run holds its lock; wait for that run to end")
            yield session
