"""A fit ends when it is told to, and leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import psycopg
import pytest

FOREVER = {
    "xgboost": '{"n_estimators": 1000000}',
    "lightgbm": '{"num_iterations": 1000000}',
}
TRAIN = "select pgml.train('endless', 'regression', 'long', 'y', %s::pgml.algorithm, %s)"


@pytest.fixture(scope="module", autouse=True)
def relation(warm):
    warm.execute(
        "create table public.long as select random() as x1, random() as x2, random() as y from generate_series(1, 5000)"
    )


def nothing_left(connection):
    tables = ("projects", "snapshots", "models", "files", "deployments", "project_owners", "snapshot_owners")
    left = [connection.execute(f"select count(*) from pgml.{table}").fetchone()[0] for table in tables]
    return connection.execute("select count(*) from pgml.projects where name = 'endless'").fetchone() == (0,) and left


@pytest.mark.parametrize("algorithm", FOREVER)
def test_a_time_out_stops_a_fit_within_a_second_and_the_session_goes_on(warm, algorithm):
    before = nothing_left(warm)
    warm.execute("set statement_timeout = '1500ms'")
    started = time.monotonic()
    try:
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
            warm.execute(TRAIN, [algorithm, FOREVER[algorithm]])
    finally:
        warm.execute("set statement_timeout = 0")
    assert 1.4 < time.monotonic() - started < 2.5
    assert before and nothing_left(warm) == before
    assert warm.execute("select pgml.version()").fetchone()


def in_the_fit(engine_db, algorithm):
    """A session in the midst of a fit: its thread, the error it ends with, and its process."""
    connection = psycopg.connect(engine_db, autocommit=True)
    connection.execute("select pgml.train('warm up', 'regression', 'long', 'y', %s::pgml.algorithm)", [algorithm])
    errors = []

    def run():
        try:
            connection.execute(TRAIN, [algorithm, FOREVER[algorithm]])
        except psycopg.Error as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.4)
    assert thread.is_alive()
    return thread, errors, connection


@pytest.mark.parametrize("way", ["cancel", "terminate"])
def test_a_fit_is_cancelled_or_ended_from_outside(engine_db, warm, way):
    thread, errors, connection = in_the_fit(engine_db, "lightgbm")
    before = nothing_left(warm)
    function = {"cancel": "pg_cancel_backend", "terminate": "pg_terminate_backend"}[way]
    started = time.monotonic()
    warm.execute(f"select {function}(%s)", [connection.info.backend_pid])
    thread.join(5)
    assert not thread.is_alive() and time.monotonic() - started < 1
    assert errors[0].sqlstate == {"cancel": "57014", "terminate": "57P01"}[way]
    assert before and nothing_left(warm) == before
    connection.close()


CLIENT = (
    "import psycopg, sys; psycopg.connect(sys.argv[1], application_name='doomed').execute(sys.argv[2], sys.argv[3:])"
)


@pytest.fixture
def doomed(engine_db, warm):
    """A program in the midst of a fit, and the process that fits for it."""
    program = subprocess.Popen([sys.executable, "-c", CLIENT, engine_db, TRAIN, "xgboost", FOREVER["xgboost"]])
    fitting = (
        "select pid from pg_stat_activity where application_name = 'doomed' and state = 'active' "
        "and now() - query_start > interval '0.7 s'"
    )
    row = wait_until(lambda: warm.execute(fitting).fetchone())
    yield program, row[0]
    program.kill()
    program.wait()


def wait_until(condition, seconds=15):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return found


def test_a_client_that_goes_away_takes_its_fit_along(warm, doomed):
    program, pid = doomed
    program.kill()
    alive = "select count(*) from pg_stat_activity where pid = %s"
    wait_until(lambda: warm.execute(alive, [pid]).fetchone() == (0,), seconds=3)
    assert nothing_left(warm)


def test_a_fit_whose_process_is_killed_leaves_the_models_as_they_were(engine_db, warm, doomed):
    """The server restarts and ends every session. Last in this module: the shared session is gone too."""
    warm.execute("select pgml.train('kept', 'regression', 'long', 'y', 'xgboost')")
    ask = "select pgml.predict('kept', array[0.5, 0.5]::real[])"
    answer, before = warm.execute(ask).fetchone(), nothing_left(warm)
    os.kill(doomed[1], signal.SIGKILL)

    def reconnected():
        try:
            warm.execute("select 1")
        except psycopg.OperationalError:
            pass
        else:
            return None
        try:
            return psycopg.connect(engine_db, autocommit=True)
        except psycopg.OperationalError:
            return None

    with wait_until(reconnected) as connection:
        assert before and nothing_left(connection) == before
        assert connection.execute(ask).fetchone() == answer
