"""What reads the copies for long gives way to who needs one for itself, on a replica that is really replicated to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict

import psycopg
import pytest

from include.foresight import administration, enrichment, guard, model_specs, training, validation
from include.foresight.checks import Check
from include.foresight.database import REPLICA, Databases
from include.foresight.errors import ForesightError, GaveWay
from include.foresight.guard import Guard
from include.foresight.model_specs import ModelSpec
from include.foresight.runs import Run
from include.foresight.sql import statement
from tests.support import nights
from tests.support.installation import Installation
from tests.support.nights import Bench, ago

# As long as the copy has a row of that key, whoever reads it reads for ever.
ENDLESS = "LONG-1"
SLEEPS = (
    f"select pg_sleep(case when exists (select from ml.source_issues where key = '{ENDLESS}') then 3600 else 0 end)"
)


TERMINATE = statement("guard/terminate")


class Slow(ModelSpec):
    """A model whose rows take for ever to read."""

    @property
    def feature_sql(self) -> str:
        return (
            "select i.client_id, i.id as entity_id, i.created as moment, i.created as known_at, 1::float8 as label,"
            " 1::float8 as simple, 1 as known_labels, 'none' as slice, null::text as excluded, 1::float8 as x"
            f" from ml.source_issues as i cross join ({SLEEPS}) as slept where i.client_id = %(client_id)s::integer"
        )


SLOW = Slow(**asdict(model_specs.read("complexity")))


@pytest.fixture
def bench(installed: Installation, client_ids: Iterator[int]) -> Bench:
    """Every session is one of its own here: the one that looks must not wait for the one that reads."""
    return nights.bench(installed, installed.databases, next(client_ids))


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def until(what: str, seen: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)


def locks(installed: Installation, condition: str) -> list[tuple]:
    return installed.rows(
        installed.replica,
        "select pid from pg_locks where relation = 'public.issues'::regclass and pid <> pg_backend_pid()"
        f" and database = (select oid from pg_database where datname = current_database()) and {condition}",
    )


def build(databases: Databases, run: Run) -> object:
    [outcome] = training.train(databases, run, [SLOW], {})
    return outcome.status


def check(databases: Databases, run: Run) -> object:
    slow = Check(
        "slow",
        "It takes long.",
        "warn",
        f"select true as passed, null as observed, null as threshold from ({SLEEPS}) as s",
    )
    with databases.session(REPLICA) as replica:
        return validation.run_check(databases, replica, run, slow, "[]").passed


def score(databases: Databases, run: Run) -> object:
    [enriched] = enrichment.enrich(databases, run, [SLOW])
    return enriched.written


@pytest.mark.parametrize(("phase", "result"), [(build, "too_little_data"), (check, True), (score, 1)])
def test_a_truncate_of_the_platforms_gets_through(
    installed: Installation, bench: Bench, thread: ThreadPoolExecutor, phase, result
):
    issue = {"client_id": bench.client_id, "key": ENDLESS, "summary": "A summary", "created": ago(5)}
    installed.insert("issues", issue)
    bench.serve(None)
    run = bench.night()
    installed.catch_up()
    phase_done = thread.submit(phase, installed.databases, run)
    until("the phase reads the copy", lambda: locks(installed, "granted"))
    with psycopg.connect(installed.platform) as platform:
        platform.execute("truncate issues restart identity")
        platform.execute(
            "insert into issues (client_id, key, created) values (%(client_id)s, 'SHORT-1', %(created)s)", issue
        )
    # Replication of every table has gone on, while the phase ...
    installed.catch_up()
    # ... has begun again, and sees the rows that came.
    assert phase_done.result(60) == result


@contextmanager
def reading(installed: Installation) -> Iterator[psycopg.Connection]:
    """Somebody who reads a copy for long, and is not ours."""
    with psycopg.connect(installed.replica) as connection:
        connection.execute("select count(*) from public.issues")
        yield connection


def test_what_gives_way_for_too_long_says_so(installed: Installation, bench: Bench):
    run = bench.night()
    moments = iter([0.0, 1.0, 9.0, 11.0])
    with psycopg.connect(installed.replica) as other, installed.databases.session(REPLICA) as replica:
        other.execute("lock table public.issues in access exclusive mode")
        tries: list[int] = []

        def read(tx) -> None:
            tries.append(1)
            tx.connection.execute("set local lock_timeout to '10ms'")
            tx.connection.execute("select count(*) from ml.source_issues")

        with pytest.raises(GaveWay, match=f"'{bench.slug}'.* for themselves for 10 s"):
            guard.on_copies(
                installed.databases, run.client, replica, read, timeout=60, patience=10, clock=lambda: next(moments)
            )
    assert len(tries) == 3


def test_a_body_that_takes_the_cancel_for_something_else_is_run_again(installed: Installation, bench: Bench):
    run = bench.night()
    tries: list[int] = []

    def read(tx) -> int:
        tries.append(1)
        tx.connection.execute("select count(*) from ml.source_issues")
        if len(tries) == 1:
            waiting = thread.submit(lock_and_leave, installed)
            with pytest.raises(psycopg.errors.QueryCanceled), tx.savepoint():
                tx.connection.execute("select pg_sleep(600)")
            assert not waiting.done()
        return len(tries)

    with ThreadPoolExecutor(1) as thread, installed.databases.session(REPLICA) as replica:
        assert guard.on_copies(installed.databases, run.client, replica, read, timeout=700) == 2


def lock_and_leave(installed: Installation) -> None:
    with psycopg.connect(installed.replica) as other:
        other.execute("lock table public.issues in access exclusive mode")


def test_a_statement_that_somebody_else_cancels_is_not_run_again(installed: Installation, bench: Bench):
    run = bench.night()

    def cancelled(tx) -> None:
        tx.connection.execute("set local statement_timeout to '50ms'")
        tx.connection.execute("select pg_sleep(600)")

    with installed.databases.session(REPLICA) as replica, pytest.raises(psycopg.errors.QueryCanceled):
        guard.on_copies(installed.databases, run.client, replica, cancelled, timeout=600)


# --- Set-up


def test_readers_pass_while_set_up_waits_for_a_table(new_pair, thread: ThreadPoolExecutor, monkeypatch):
    monkeypatch.setattr(administration, "LOCK_SECONDS", 1.0)
    with new_pair() as pair:
        pair.install()
        with psycopg.connect(pair.platform) as platform:
            platform.execute("alter table issues add column colour varchar")
        with reading(pair), psycopg.connect(pair.replica, autocommit=True) as reader:
            installing: Future = thread.submit(pair.install)
            until(
                "set-up waits", lambda: locks(pair, "not granted and mode = 'AccessExclusiveLock'") or installing.done()
            )
            assert not installing.done()
            reader.execute("set statement_timeout to '20s'")
            assert reader.execute("select count(*) from public.issues").fetchone() == (0,)
            assert not installing.done()
        installing.result(60)
        pair.insert("issues", {"client_id": 1, "key": "K-1", "colour": "green"})
        pair.catch_up()
        assert pair.rows(pair.replica, "select colour from public.issues") == [("green",)]


def test_set_up_that_gets_no_lock_says_so(installed: Installation):
    moments, pauses = iter([0.0, 5.0, 20.0]), []
    with reading(installed), psycopg.connect(installed.replica, autocommit=True) as connection:
        connection.execute("set lock_timeout to '10ms'")
        with pytest.raises(ForesightError, match="in use and could not be changed for 10 s"):
            administration.patiently(
                lambda: connection.execute("alter table public.issues add column colour varchar"),
                patience=10,
                clock=lambda: next(moments),
                pause=pauses.append,
            )
    assert pauses == [administration.PAUSE_SECONDS]


# --- The guard itself


def test_a_backend_that_does_not_listen_is_ended(installed: Installation):
    databases = installed.databases
    with databases.session(REPLICA) as replica:
        with pytest.raises(psycopg.OperationalError), Guard(databases, REPLICA, replica, TERMINATE, 0.2) as one:
            replica.connection.execute("select pg_sleep(600)")
        assert one.signalled and replica.connection.closed


def test_a_guard_that_comes_late_leaves_the_session_alone(installed: Installation):
    """Its own session is there only when the body has been left."""
    left, asked = threading.Event(), threading.Event()
    databases = installed.databases

    def late(conn_id: str) -> psycopg.Connection:
        asked.set()
        assert left.wait(60)
        return databases.connect(conn_id)

    with databases.session(REPLICA) as replica:
        with Guard(Databases(late), REPLICA, replica, TERMINATE, 0.01) as one:
            assert asked.wait(60)
        left.set()
        one._thread.join(60)
        assert not one.signalled
        assert replica.connection.execute("select 1").fetchone() == (1,)


def test_leaving_waits_for_a_signal_that_is_under_way(installed: Installation):
    """So the next statement of the session cannot get it."""
    databases = installed.databases
    sending, may_send = threading.Event(), threading.Event()

    class Held(psycopg.Connection):
        def execute(self, query, *args, **values):
            if "pg_terminate_backend" in getattr(query, "as_string", lambda *_: str(query))(None):
                sending.set()
                assert may_send.wait(60)
            return super().execute(query, *args, **values)

    holding = Databases(lambda conn_id: Held.connect(installed.app(conn_id)))
    with databases.session(REPLICA) as replica, ThreadPoolExecutor(1) as thread:
        one = Guard(holding, REPLICA, replica, TERMINATE, 0.01)
        with one:
            assert sending.wait(60)
            leaving = thread.submit(one.__exit__)
            assert not leaving.done()
            may_send.set()
            leaving.result(60)
        assert one.signalled
        with pytest.raises(psycopg.OperationalError):
            replica.connection.execute("select 1")
