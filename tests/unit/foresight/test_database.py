"""Sessions: opened by the name of a connection, closed whatever happens. Transactions are tested on real servers."""

from __future__ import annotations

import pytest

from include.foresight.database import PRIMARY, REPLICA, Databases
from include.foresight.sql import Statement, text


class Line:
    """What a session needs of a connection before its first transaction."""

    def __init__(self) -> None:
        self.autocommit = False
        self.closed = False
        self.said: list[str] = []

    class info:
        backend_pid = 4711

    def execute(self, query: Statement) -> Line:
        self.said.append(query.path)
        return self

    def fetchone(self) -> tuple[int]:
        return (self.info.backend_pid,)

    def close(self) -> None:
        self.closed = True


class Lines:
    def __init__(self) -> None:
        self.opened: list[tuple[str, Line]] = []

    def __call__(self, conn_id: str) -> Line:
        self.opened.append((conn_id, Line()))
        return self.opened[-1][1]


def test_each_session_is_a_connection_of_its_own_and_is_closed():
    lines = Lines()
    databases = Databases(lines)
    with databases.session(REPLICA) as one, databases.session(REPLICA) as other:
        assert one.connection is not other.connection
        assert one.connection.autocommit and not one.connection.closed
    assert [(conn_id, line.closed) for conn_id, line in lines.opened] == [(REPLICA, True), (REPLICA, True)]


def test_a_session_is_closed_when_its_body_fails():
    lines = Lines()
    with pytest.raises(ZeroDivisionError), Databases(lines).primary():
        raise ZeroDivisionError
    assert [(conn_id, line.closed) for conn_id, line in lines.opened] == [(PRIMARY, True)]


def test_notices_are_silenced_before_anything_else():
    """PostgresML prints values of rows in them."""
    lines = Lines()
    with Databases(lines).session("foresight_replica_2"):
        pass
    assert lines.opened[0][1].said == ["pooling/open"]
    assert "set_config('client_min_messages', 'warning', false)" in text("statements/pooling/open")


def test_what_keeps_a_connection_from_being_made_is_told_as_it_is():
    def away(conn_id: str) -> Line:
        raise ConnectionRefusedError(conn_id)

    with pytest.raises(ConnectionRefusedError, match=REPLICA), Databases(away).session(REPLICA):
        pytest.fail("there is no session")
