"""What a training asks of its replica: memory, temporary files, the longest statement."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from include.foresight.database import REPLICA, Session
from include.foresight.load import Meter
from tests.support.installation import Installation

pytestmark = pytest.mark.own_engine


@pytest.fixture
def session(installed: Installation, client_ids) -> Iterator[tuple[Session, int]]:
    number = next(client_ids)
    installed.add_client(number)
    with installed.databases.session(REPLICA) as made:
        yield made, number


def test_memory_is_that_of_what_is_measured(session: tuple[Session, int]):
    """A session that has needed much before does not count it against what comes after."""
    replica, client_id = session
    large = sql.SQL("select length(repeat('x', 300000000)), length(md5(repeat('y', 300000000)))")
    before = Meter(replica, client_id)
    with replica.as_client(client_id) as tx:
        tx.execute(large)
    during = before.load(replica, 1.0)
    after = Meter(replica, client_id).load(replica, 1.0)
    assert during.peak_bytes > after.peak_bytes + 200_000_000 and after.peak_bytes > 1_000_000
    assert 0 < after.cpu_seconds < during.cpu_seconds


def test_temporary_files_are_counted(session: tuple[Session, int]):
    replica, client_id = session
    meter = Meter(replica, client_id)
    with replica.as_client(client_id) as tx:
        tx.execute(sql.SQL("set local work_mem = '64kB'"))
        tx.execute(
            sql.SQL("select count(*) from (select n from generate_series(1, 200000) as n order by n % 7, n) as s")
        )
    assert meter.load(replica, 1.0).temp_bytes > 1_000_000


def test_the_longest_statement_is_named(session: tuple[Session, int]):
    replica, client_id = session
    with replica.as_client(client_id) as tx:
        tx.execute(sql.SQL("select pg_sleep(0.4)"))
    meter = Meter(replica, client_id)
    with replica.as_client(client_id) as tx:
        tx.one("pgml/has_meters")
    load = meter.load(replica, 1.0)
    assert load.longest_statement == "pgml/has_meters" and load.longest_seconds > 0


def test_a_session_that_was_ended_costs_the_time_on_the_clock(installed: Installation, session: tuple[Session, int]):
    replica, client_id = session
    meter = Meter(replica, client_id)
    with psycopg.connect(installed.replica, autocommit=True) as boss, contextlib.suppress(psycopg.OperationalError):
        boss.execute("select pg_terminate_backend(%s)", [replica.connection.info.backend_pid])
        replica.connection.execute("select 1")
    with installed.databases.session(REPLICA) as another:
        load = meter.load(another, 12.5)
    assert (load.cpu_seconds, load.peak_bytes) == (12.5, None)
