"""The prediction log on its way to the primary: whatever goes wrong, nothing is lost, doubled or held back."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from include.foresight import journal
from include.foresight.database import Databases
from include.foresight.journal import Journal
from launcher.processes import wait_until
from tests.support.installation import Installation

NOWHERE = Databases.at(lambda conn_id: "host=127.0.0.1 port=1 connect_timeout=1")
SECONDS = 60


@pytest.fixture(scope="module")
def client(installed: Installation, client_ids: Iterator[int]) -> int:
    return installed.add_client(next(client_ids))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Journal]]:
    """Starts journals in one folder, which end with the test."""
    with contextlib.ExitStack() as stack:

        def started(databases: Databases, folder: Path = tmp_path) -> Journal:
            made = Journal(folder, databases)
            stack.callback(end, made)
            return made

        yield started


def end(one: Journal) -> None:
    with contextlib.suppress(Exception):  # ended by its test
        one.close(patience=0)


def row(client: int, **other: Any) -> dict[str, Any]:
    return {
        "prediction_uuid": uuid4(),
        "client_id": client,
        "model": "complexity",
        "model_name": "m",
        "model_uuid": None,
        "rung": "recent",
        "entity": "issue",
        "entity_id": 1,
        "prediction_value": 3.0,
        "ranges": None,
        "input_features": "{}",
        "feature_hash": "x",
        "response_time_ms": 1,
        "as_of": "2025-06-01",
        "created_at": "2025-06-01T00:00:00Z",
    } | other


def on_primary(installed: Installation, rows: list[dict[str, Any]]) -> list[bool]:
    """Of each row, whether it is in the log."""
    uuids = {"uuids": [str(one["prediction_uuid"]) for one in rows]}
    query = "select prediction_uuid from ml.prediction_log where prediction_uuid = any(%(uuids)s::uuid[])"
    found = {uuid for (uuid,) in installed.rows(installed.primary, query, uuids)}
    return [one["prediction_uuid"] in found for one in rows]


def sent(*journals: Journal) -> bool:
    return wait_until(lambda: not any(one.backlog() for one in journals), SECONDS)


def test_rows_are_sent_once_and_nothing_stays(installed: Installation, client: int, start, tmp_path: Path):
    one, rows = start(installed.databases), [row(client) for _ in range(3)]
    one.write(rows[:2])
    assert sent(one)
    one.write(rows)  # the first two again
    assert sent(one) and on_primary(installed, rows) == [True] * 3
    one.close()
    assert list(tmp_path.iterdir()) == []


def test_while_the_primary_is_away_rows_wait_in_the_file(installed: Installation, client: int, start, tmp_path: Path):
    away, rows = start(NOWHERE), [row(client) for _ in range(3)]
    away.write(rows)
    assert away.backlog() == journal.waiting(tmp_path) == 3
    away.close(patience=0)
    assert journal.waiting(tmp_path) == 3 and on_primary(installed, rows) == [False] * 3
    start(installed.databases)
    assert wait_until(lambda: on_primary(installed, rows) == [True] * 3, SECONDS)


def write_and_wait(folder: Path, rows: list[dict[str, Any]], ready: Any) -> None:
    one = Journal(folder, NOWHERE)
    for each in rows:
        one.write([each])
    ready.set()
    time.sleep(600)


def killed(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """The file of a process that was killed after it had written these rows."""
    before = set(folder.glob("*.journal"))
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    process = spawn.Process(target=write_and_wait, args=(folder, rows, ready))
    process.start()
    try:
        assert ready.wait(SECONDS)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    [made] = set(folder.glob("*.journal")) - before
    return made


def test_a_killed_process_loses_nothing(installed: Installation, client: int, start, tmp_path: Path):
    """The next one that starts sends its rows, before it has any of its own; a living one's file it leaves alone."""
    alive, rows = start(NOWHERE), [row(client) for _ in range(4)]
    alive.write([row(client)])
    killed(tmp_path, rows)
    started = start(installed.databases)
    assert wait_until(lambda: set(tmp_path.glob("*.journal")) == {alive.path, started.path}, SECONDS)
    assert on_primary(installed, rows) == [True] * 4 and alive.backlog() == 1


def test_a_last_row_that_is_half_written_costs_that_row_alone(
    installed: Installation, client: int, start, tmp_path: Path
):
    rows = [row(client) for _ in range(3)]
    file = killed(tmp_path, rows)
    ahead = file.with_name(file.name + "-wal")
    os.truncate(ahead, ahead.stat().st_size - 100)
    start(installed.databases)
    assert wait_until(lambda: not file.exists(), SECONDS)
    assert on_primary(installed, rows) == [True, True, False]


def test_a_broken_file_is_left_for_people_and_holds_nothing_back(
    installed: Installation, client: int, start, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    rows = [row(client)]
    # Killed before there is a broken file, which it would set aside itself.
    dead = killed(tmp_path, [row(client)])
    broken = tmp_path / "0-broken.journal"
    broken.write_bytes(os.urandom(10_000))
    one = start(installed.databases)
    one.write(rows)
    assert sent(one) and on_primary(installed, rows) == [True]
    assert wait_until(lambda: not broken.exists() and not dead.exists(), SECONDS)
    assert broken.with_suffix(".broken").stat().st_size == 10_000 and "0-broken.journal" in caplog.text


def test_a_row_that_the_primary_refuses_holds_no_other_back(
    installed: Installation, client: int, start, caplog: pytest.LogCaptureFixture
):
    """Of a client that was erased; of a value that the table does not take."""
    good = [row(client) for _ in range(3)]
    bad = [row(999_999_999), row(client, rung=None), row(client, input_features="{")]
    one = start(installed.databases)
    one.write([good[0], bad[0], good[1], bad[1], bad[2], good[2]])
    assert sent(one)
    assert on_primary(installed, good) == [True] * 3 and on_primary(installed, bad) == [False] * 3
    for each in bad:
        assert f"the primary refuses prediction {each['prediction_uuid']}: " in caplog.text


def test_a_folder_that_cannot_be_made_fails_no_prediction(installed: Installation, client: int, start, tmp_path: Path):
    """Below a file, where not even root makes one."""
    (tmp_path / "file").touch()
    one = start(NOWHERE, tmp_path / "file" / "journal")
    one.write([row(client)])
    assert one.backlog() == one.in_memory() == 1 and "Not a directory" in one.trouble
    healthy, rows = start(installed.databases, tmp_path / "file" / "journal"), [row(client)]
    healthy.write(rows)
    assert sent(healthy) and on_primary(installed, rows) == [True]
    # Somebody has made room.
    (tmp_path / "file").unlink()
    one.write([row(client)])
    assert one.trouble is None and (one.backlog(), one.in_memory()) == (2, 1)


def test_a_full_disk_fails_no_prediction(
    installed: Installation, client: int, start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """The file may not grow, as SQLite sees it on a full disk. Memory is not filled without end."""
    monkeypatch.setattr(journal, "MEMORY_ROWS", 2)
    one = start(NOWHERE)
    one.write([row(client)])
    [(pages,)] = one._file.execute("pragma page_count").fetchall()
    one._file.execute(f"pragma max_page_count = {pages}")
    large = "x" * 100_000
    one.write([row(client, model_name=large), row(client)])
    assert (one.backlog(), one.in_memory()) == (3, 2) and "full" in one.trouble
    one.write([row(client, model_name=large)])
    assert one.in_memory() == 2 and "1 rows of the prediction log are lost" in caplog.text
    one._file.execute("pragma max_page_count = 1000000")
    one.write([row(client, model_name=large)])
    assert (one.backlog(), one.in_memory(), one.trouble) == (4, 2, None)


def test_an_error_that_is_not_a_rows_fault_drops_none(
    installed: Installation, client: int, start, caplog: pytest.LogCaptureFixture
):
    """The login may not write for a while."""
    one, rows = start(installed.databases), [row(client)]
    with psycopg.connect(installed.primary, autocommit=True) as connection:
        connection.execute("revoke insert on ml.prediction_log from foresight_log_writer")
        try:
            one.write(rows)
            assert wait_until(lambda: "permission denied for table prediction_log" in caplog.text, SECONDS)
            assert one.backlog() == 1
        finally:
            connection.execute("grant insert on ml.prediction_log to foresight_log_writer")
    assert sent(one) and on_primary(installed, rows) == [True]
