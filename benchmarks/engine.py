"""`./foresight bench engine`: our pgml beside the bare libraries, on one machine, in one run.

Each ratio compares two things that took turns within the same minute, by the fastest of their runs: what else the
machine does makes runs longer, never shorter, and it hits both alike. The server is a throw-away one with the settings
that the launcher gives to its own; the bare library runs in a process of the same Python environment, one thread, with
its arrays ready.
"""

from __future__ import annotations

import json
import secrets
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psycopg
from rich.table import Table

from launcher import engine
from launcher.clusters import Cluster, server_environment
from launcher.instance import engine_environment, is_free
from launcher.system import CHECKOUT, postgres_bin, server_user

FEATURES = 20
# Rows of a training, its key, and how often each side runs.
TRAININGS = ((1_000, "train_ratio_1k", 7), (10_000, "train_ratio_10k", 7), (100_000, "train_ratio_100k", 5))
BATCH, BATCH_RUNS = 100_000, 9
HYPERPARAMS = {"n_estimators": 100}
PREDICTS = 3_000
FIRSTS = 5
TRAININGS_AT_ONCE, ROUNDS_AT_ONCE = 4, 3
TRAININGS_IN_ONE_SESSION, TRAININGS_TO_WARM_UP = 50, 5

GOALS = {
    "train_ratio_1k": "",
    "train_ratio_10k": "at most 1.10",
    "train_ratio_100k": "at most 1.10",
    "predict_batch_ratio_100k": "at most 1.5",
    "predict_p50_ms": "at most 1",
    "first_predict_s": "",
    "two_sessions_ratio": "at least 1.8",
    "rss_growth_mb": "flat",
}

ROWS = """
create table public.rows_{rows} as
select {columns}, 3 * x1 + x2 * x3 + sin(6 * x4) + 0.3 * random() as y
from (select setseed(0.5)) as seed, lateral (select {randoms} from generate_series(1, {rows})) as r
"""
TRAIN = "select pgml.train(%s, 'regression', %s, 'y', 'xgboost', %s)"


@dataclass
class Measured:
    """`seconds` by what was measured; the first names of a pair are ours."""

    values: dict[str, float] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)

    def ratio(self, key: str, ours: list[float], theirs: list[float]) -> None:
        self.values[key] = min(ours) / min(theirs)
        self.details[key] = (
            f"{min(ours) * 1000:.0f} ms beside {min(theirs) * 1000:.0f} ms "
            f"(medians {statistics.median(ours) * 1000:.0f}, {statistics.median(theirs) * 1000:.0f})"
        )


class Library:
    """The bare library in a process of the server's environment. Arrays are loaded before the clock starts."""

    def __init__(self, environment: Path, folder: Path) -> None:
        command = [environment / "bin" / "python", CHECKOUT / "benchmarks" / "library.py", folder]
        variables = {"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables, cwd=folder
        )

    def seconds(self, what: str, rows: int) -> float:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"what": what, "rows": rows, **HYPERPARAMS}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["seconds"]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


def run(say: Callable[[str], None]) -> Measured:
    measured = Measured()
    with _server() as cluster, psycopg.connect(cluster.conninfo(), autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: None)
        say("rows")
        folder = cluster.folder / "arrays"
        folder.mkdir()
        for rows in sorted({rows for rows, _, _ in TRAININGS} | {BATCH}):
            _make_rows(connection, rows, folder)
        library = Library(engine_environment(), folder)
        try:
            for rows, key, runs in TRAININGS:
                say(f"training {rows} rows")
                _train(connection, library, measured, key, rows, runs)
            say(f"scoring {BATCH} rows")
            _batch(connection, library, measured)
        finally:
            library.close()
        say("single predictions")
        _single(connection, measured)
        _first(cluster, measured)
        say("two sessions at once")
        _at_once(cluster, measured)
        say(f"{TRAININGS_IN_ONE_SESSION} trainings in one session")
        _memory(cluster, measured)
    return measured


def table(measured: Measured) -> Table:
    shown = Table("", "measured", "goal", "")
    for key, goal in GOALS.items():
        shown.add_row(key, f"{measured.values[key]:.3g}", goal, measured.details.get(key, ""))
    return shown


def as_json(measured: Measured) -> str:
    return json.dumps({key: round(measured.values[key], 3) for key in GOALS})


@contextmanager
def _server() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="foresight-bench-", dir="/var/tmp"))
    folder.chmod(0o755)
    engine.install()
    cluster = Cluster(
        name="bench",
        folder=folder / "bench",
        port=next(port for port in range(32000, 32700) if is_free(port)),
        password=secrets.token_urlsafe(12),
        owner=server_user(),
        bin=postgres_bin(),
        settings={"max_wal_size": "1GB"},
        environment=server_environment(engine_environment()),
    )
    try:
        cluster.create()
        cluster.start()
        with psycopg.connect(cluster.conninfo()) as connection:
            connection.add_notice_handler(lambda notice: None)
            for script in sorted((CHECKOUT / "sql" / "pgml").glob("*.sql")):
                connection.execute(script.read_bytes())
        yield cluster
    finally:
        cluster.stop(patience=10)
        shutil.rmtree(folder)


def _make_rows(connection: psycopg.Connection, rows: int, folder: Path) -> None:
    columns = [f"x{place + 1}" for place in range(FEATURES)]
    randoms = ", ".join(f"random() as {column}" for column in columns)
    connection.execute(ROWS.format(rows=rows, columns=", ".join(columns), randoms=randoms).encode())
    connection.execute(f"vacuum analyze public.rows_{rows}".encode())
    values = connection.execute(f"select * from public.rows_{rows}".encode(), binary=True).fetchall()
    np.save(folder / f"rows_{rows}.npy", np.array(values, dtype=np.float32))


def _seconds(connection: psycopg.Connection, query: str, values: list[object] | None = None) -> float:
    started = time.perf_counter()
    connection.execute(query.encode(), values)
    return time.perf_counter() - started


def _train(
    connection: psycopg.Connection, library: Library, measured: Measured, key: str, rows: int, runs: int
) -> None:
    def ours() -> float:
        return _seconds(connection, TRAIN, [f"bench {rows}", f"rows_{rows}", json.dumps(HYPERPARAMS)])

    _take_turns(measured, key, ours, lambda: library.seconds("train", rows), runs)


def _take_turns(
    measured: Measured, key: str, ours: Callable[[], float], theirs: Callable[[], float], runs: int
) -> None:
    """Once each to warm up, then in turns; who begins changes."""
    ours(), theirs()
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(runs):
        for which in (0, 1) if turn % 2 else (1, 0):
            taken[which].append((ours, theirs)[which]())
    measured.ratio(key, *taken)


def _batch(connection: psycopg.Connection, library: Library, measured: Measured) -> None:
    """An array that is ready, as the library's is; then also from the table's rows, which the library does not read."""
    columns = ", ".join(f"x{place + 1}::real" for place in range(FEATURES))
    connection.execute("create table public.batch (features real[])")
    connection.execute("alter table public.batch alter column features set storage external")
    connection.execute(f"insert into public.batch select array_agg(array[{columns}]) from public.rows_{BATCH}".encode())
    project = f"bench {BATCH}"
    ready = "select count(*), sum(p) from pgml.predict_batch(%s, (select features from public.batch)) as p"
    rows = (
        "select count(*), sum(p) from pgml.predict_batch(%s, "
        f"(select array_agg(array[{columns}]) from public.rows_{BATCH})) as p"
    )
    _take_turns(
        measured,
        "predict_batch_ratio_100k",
        lambda: _seconds(connection, ready, [project]),
        lambda: library.seconds("predict", BATCH),
        BATCH_RUNS,
    )
    from_rows = min(_seconds(connection, rows, [project]) for _ in range(3))
    measured.details["predict_batch_ratio_100k"] += f"; from the table's rows {from_rows * 1000:.0f} ms"


def _single(connection: psycopg.Connection, measured: Measured) -> None:
    row = [0.5] * FEATURES
    query = b"select pgml.predict('bench 10000', %s::real[])"
    taken = []
    for _ in range(PREDICTS):
        started = time.perf_counter()
        connection.execute(query, [row], prepare=True).fetchone()
        taken.append(time.perf_counter() - started)
    taken = sorted(taken[PREDICTS // 10 :])
    measured.values["predict_p50_ms"] = statistics.median(taken) * 1000
    measured.details["predict_p50_ms"] = (
        f"client to client; 99 of 100 within {taken[len(taken) * 99 // 100] * 1000:.2f}"
    )


def _first(cluster: Cluster, measured: Measured) -> None:
    taken = []
    for _ in range(FIRSTS):
        with psycopg.connect(cluster.conninfo(), autocommit=True) as connection:
            taken.append(_seconds(connection, "select pgml.predict('bench 10000', %s::real[])", [[0.5] * FEATURES]))
    measured.values["first_predict_s"] = statistics.median(taken)
    measured.details["first_predict_s"] = f"the quickest of {FIRSTS} new sessions {min(taken):.2f}"


def _at_once(cluster: Cluster, measured: Measured) -> None:
    """How much more two sessions get done in the same time as one."""
    with (
        psycopg.connect(cluster.conninfo(), autocommit=True) as one,
        psycopg.connect(cluster.conninfo(), autocommit=True) as other,
    ):

        def work(connection: psycopg.Connection, name: str) -> None:
            for _ in range(TRAININGS_AT_ONCE):
                connection.execute(TRAIN.encode(), [name, "rows_10000", json.dumps(HYPERPARAMS)])

        for connection in (one, other):
            connection.add_notice_handler(lambda notice: None)
        work(one, "bench one"), work(other, "bench other")
        alone, together = [], []
        for _ in range(ROUNDS_AT_ONCE):
            started = time.perf_counter()
            work(one, "bench one")
            alone.append(time.perf_counter() - started)
            threads = [
                threading.Thread(target=work, args=pair) for pair in ((one, "bench one"), (other, "bench other"))
            ]
            started = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            together.append(time.perf_counter() - started)
    measured.values["two_sessions_ratio"] = 2 * min(alone) / min(together)
    measured.details["two_sessions_ratio"] = (
        f"{TRAININGS_AT_ONCE} trainings {min(alone):.2f} s, twice as many by two {min(together):.2f} s"
    )


def _memory(cluster: Cluster, measured: Measured) -> None:
    """Of the backend's own memory: pages of the shared buffers that it has touched are not its."""
    with psycopg.connect(cluster.conninfo(), autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: None)
        pid = connection.info.backend_pid
        sizes = []
        for _ in range(TRAININGS_TO_WARM_UP + TRAININGS_IN_ONE_SESSION):
            connection.execute(TRAIN.encode(), ["bench memory", "rows_10000", json.dumps({"n_estimators": 20})])
            sizes.append(_own_memory(pid))
    measured.values["rss_growth_mb"] = sizes[-1] - sizes[TRAININGS_TO_WARM_UP - 1]
    measured.details["rss_growth_mb"] = f"{sizes[TRAININGS_TO_WARM_UP - 1]:.0f} MB, then {sizes[-1]:.0f} MB"


def _own_memory(pid: int) -> float:
    """MB"""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("Linux says RssAnon of every process")
