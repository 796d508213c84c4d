"""Sessions through a real PgBouncer: refused where a transaction may get any process of the server, else as without."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from include.foresight import deployment
from include.foresight.database import PRIMARY, REPLICA, Databases
from include.foresight.errors import ClientBusy, ConfigurationError
from include.foresight.serving import PooledDatabases
from tests.support.installation import Installation
from tests.support.pgbouncer import PROGRAM, pgbouncer

pytestmark = pytest.mark.skipif(
    PROGRAM is None,
    reason="pgbouncer is not installed here (Debian: apt-get install pgbouncer)",
)

NAMED = "pool_mode = session"


@pytest.fixture(scope="module", autouse=True)
def client(installed: Installation, client_ids) -> int:
    return installed.add_client(next(client_ids))


def through(installed: Installation, place: str) -> Databases:
    places = {PRIMARY: place, REPLICA: installed.app(REPLICA)}
    return Databases(lambda conn_id: psycopg.connect(places[conn_id]))


@pytest.mark.parametrize(
    "settings", [{}, {"default_pool_size": 1}, {"default_pool_size": 2}, {"server_round_robin": 1}], ids=str
)
def test_a_session_of_many_servers_is_refused(installed: Installation, settings: dict[str, int]):
    with pgbouncer(installed.app(PRIMARY), "transaction", **settings) as place:
        warm(place)
        for _ in range(5):
            with pytest.raises(ConfigurationError, match=NAMED), through(installed, place).primary():
                pytest.fail("there is no session")


def warm(place: str) -> None:
    """Several processes of the server stand in the pool, as they do in one that is in use."""
    opened = [psycopg.connect(place, autocommit=True) for _ in range(3)]
    for connection in opened:
        connection.execute("select")
    for connection in opened:
        connection.close()


def test_so_is_one_where_no_transaction_can_be_opened(installed: Installation):
    with (
        pgbouncer(installed.app(PRIMARY), "statement") as place,
        pytest.raises(ConfigurationError, match=NAMED),
        through(installed, place).primary(),
    ):
        pytest.fail("there is no session")


@pytest.mark.parametrize("use", ["locked", "pool", "attach", "detach"])
def test_whatever_needs_a_session_says_why_it_has_none(installed: Installation, client: int, use: str):
    login = installed.primary if use in ("attach", "detach") else installed.app(PRIMARY)
    with pgbouncer(login, "transaction") as place:
        uses: dict[str, Callable[[], object]] = {
            "locked": lambda: through(installed, place).locked(client).__enter__(),
            "pool": lambda: asked_through_a_pool(place),
            "attach": lambda: deployment.inspect(place, installed.replica),
            "detach": lambda: deployment.connections(place, installed.replica).__enter__(),
        }
        with pytest.raises(ConfigurationError, match=NAMED) as refusal:
            uses[use]()
        there = conninfo_to_dict(place)
        assert f"127.0.0.1:{there['port']}, database {there['dbname']}" in str(refusal.value)


def asked_through_a_pool(place: str) -> None:
    pools = PooledDatabases(lambda conn_id: place)
    try:
        with pools.primary() as session, session.as_fleet() as fleet:
            fleet.all("clients/active")
    finally:
        pools.close()


@pytest.mark.parametrize("size", [2, 20])
def test_sessions_through_a_pooler_are_as_without(installed: Installation, client: int, size: int):
    """Two at once fill the smaller pool: the look at whether a process stays has none to take."""
    with pgbouncer(installed.app(PRIMARY), "session", default_pool_size=size) as place:
        databases = through(installed, place)
        with databases.locked(client) as held:
            with pytest.raises(ClientBusy), databases.locked(client):
                pytest.fail("it is held")
            assert held.backend() != held.connection.info.backend_pid, "a pooler stands between"
            with installed.superuser() as connection:
                holders = "select pid from pg_locks where locktype = 'advisory' and objid = %s"
                assert connection.execute(holders, [client]).fetchall() == [(held.backend(),)]
        with databases.locked(client):
            pass
    with pgbouncer(installed.app(PRIMARY), "session") as place:
        asked_through_a_pool(place)


def test_a_server_itself_is_asked_nothing_more(installed: Installation, monkeypatch: pytest.MonkeyPatch):
    """One connection, not two: everybody pays for what every session does."""
    made = psycopg.connect(installed.app(PRIMARY))
    monkeypatch.setattr(psycopg, "connect", lambda *_, **__: pytest.fail("a second connection"))
    with Databases(lambda conn_id: made).primary() as session:
        assert session.backend() == session.connection.info.backend_pid
