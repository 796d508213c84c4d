"""How fast are predictions on request, what does a killed server lose, and how soon does everybody see a new model?

An instance of its own, as `./foresight run` makes it, with its nights lived by its scheduler; `./foresight serve` with
two workers; callers in a process of their own (benchmarks/callers.py), open loop. While they ask, nights train every
model anew. Five of a hundred keys were never asked for before. Then the same through Airflow's API server, the server
killed again and again, the primary away, a model changed, and one query with and without row-level security.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

from include.foresight import api_keys, champions, features, model_specs, names, promotion
from include.foresight.database import PRIMARY, REPLICA, Databases, Transaction
from include.foresight.rungs import RECENT
from launcher import airflow, clusters, nightly, platform_data, report, serve, setup
from launcher import instance as instances
from launcher.instance import Instance
from launcher.processes import wait_until
from launcher.progress import Progress
from launcher.system import CHECKOUT

NAME = "bench-serving"
ROOT = "/api/ml/v1"
SLUG, CLIENT = "northwind_labs", 1
CALLERS, PER_SECOND, KEYS = 50, 2, 10
FIRST_SEEN = 0.05
AIRFLOW_CALLERS = 10
KILLS = 20
AWAY_SECONDS = 60
WAIT = 30.0

GOALS = {
    "requests": "",
    "errors": "0",
    "p50_ms_1": "",
    "p95_ms_50": "at most 200",
    "p99_ms_50": "at most 500",
    "over_empty_ratio": "",
    "p95_ms_airflow": "at most 2000",
    "cold_first_s": "at most 2",
    "cache_hit_share": "",
    "log_rows_lost": "0",
    "log_rows_double": "0",
    "switch_s": "at most 5",
    "rls_ratio": "at most 1.05",
}


@dataclass
class Measured:
    values: dict[str, float] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)


@dataclass
class Stock:
    """What may be asked for: by path, bodies' makers from keys; `used` goes on from where the last plan ended."""

    chance: random.Random
    kinds: dict[str, list[Any]]
    hot: dict[str, list[Any]] = field(default_factory=dict)
    fresh: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path, all_ in self.kinds.items():
            shuffled = self.chance.sample(all_, len(all_))
            cut = max(KEYS, len(shuffled) // 10)
            self.hot[path], self.fresh[path] = shuffled[:cut], shuffled[cut:]

    def body(self, first_seen: float) -> tuple[str, dict[str, Any]]:
        path = self.chance.choices(list(self.kinds), weights=[4, 1, 4])[0]
        asked = []
        for key in self.chance.sample(self.hot[path], min(KEYS, len(self.hot[path]))):
            new = self.fresh[path] and self.chance.random() < first_seen
            asked.append(self.fresh[path].pop() if new else key)
        if path == "/predict-rework":
            # Of one repository: what is asked goes by the repository of the first.
            repository = asked[0][0]
            return path, {"repository": repository, "pull_request_numbers": [number for _, number in asked]}
        return path, {("epic_keys" if path == "/predict-trajectory" else "issue_keys"): asked}


def run(seconds: float = 60.0, say: Callable[[str], None] = lambda line: None, seed: int = 0) -> Measured:
    measured = Measured()
    one = instances.load_or_create(NAME, None)
    with instances.locked(one), _up(one, say):
        servers = clusters.of(one)
        primary, replica = (getattr(servers, side).conninfo(setup.PLATFORM) for side in ("primary", "replica"))
        databases = platform_data.databases(primary, replica, one.secrets["app"])
        key = _key(databases)
        stock = Stock(random.Random(seed), _kinds(primary))
        with _Server(one) as server:
            say(f"served on {server.address}")
            _steady(measured, one, server, stock, key, seconds, say)
            _switch(measured, databases, server, stock, key, say)
            _kills(measured, primary, server, stock, key, say)
            _primary_away(measured, servers, primary, server, stock, key, say)
        _through_airflow(measured, one, stock, min(seconds, 30.0), say)
        _row_level_security(measured, databases, replica, say)
    return measured


# --- The instance, the server, the callers


@contextlib.contextmanager
def _up(one: Instance, say: Callable[[str], None]) -> Iterator[None]:
    progress = Progress(Console(stderr=True, quiet=True), None)
    say("an instance of its own, and its nights (a minute or two)")
    try:
        setup.whole(one, progress)
        yield
    finally:
        progress.close()
        setup.stop(one)
        instances.destroy(one)


@dataclass
class _Server:
    """`./foresight serve` with two workers, on a port of its own."""

    instance: Instance
    workers: int = 2
    process: subprocess.Popen | None = None

    def __post_init__(self) -> None:
        self.port = next(port for port in range(32700, 32760) if instances.is_free(port))
        self.address = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> _Server:
        self.counting = contextlib.ExitStack()
        self.variables = self.counting.enter_context(serve.counting(self.instance))
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.kill()
        self.counting.close()

    def start(self) -> None:
        self.process = subprocess.Popen(
            serve.command("127.0.0.1", self.port, self.workers),
            env=serve.environment(self.instance) | self.variables,
            cwd=CHECKOUT,
            start_new_session=True,
            stderr=(self.instance.logs / "serve.log").open("a"),
        )
        if not wait_until(self._answers, 60, 0.05):
            raise RuntimeError(f"./foresight serve does not answer: {self.instance.logs / 'serve.log'}")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.address}{ROOT}/health", timeout=5).status_code == 401
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _key(databases: Databases) -> str:
    with databases.primary() as primary:
        made = api_keys.issue(primary, "the benchmark", [CLIENT])
    time.sleep(2)  # published to the replica
    return made


def _kinds(primary: str) -> dict[str, list[Any]]:
    with psycopg.connect(primary) as connection:
        issues = (
            "select i.key from issues as i join issuetypes as t on t.id = i.issuetype_id where i.client_id = %s"
            " and i.active and i.key is not null and length(i.summary) > 10 and t.original_name = any(%s)"
            " group by i.key having count(*) = 1 order by i.key"
        )
        stories = connection.execute(issues, [CLIENT, ["Story", "Task", "Bug"]]).fetchall()
        epics = connection.execute(issues, [CLIENT, ["Epic"]]).fetchall()
        pulls = connection.execute(
            "select r.full_name, p.number from pull_requests as p join repositories as r on r.id = p.repository_id"
            " where p.client_id = %s and p.active group by r.full_name, p.number having count(*) = 1"
            " and r.full_name = (select max(full_name) from repositories where client_id = %s) order by 2",
            [CLIENT, CLIENT],
        ).fetchall()
    return {
        "/estimate-complexity": [key for (key,) in stories],
        "/predict-trajectory": [key for (key,) in epics],
        "/predict-rework": pulls,
    }


def _plan(
    stock: Stock, key: str, *, callers: int, seconds: float, per_second: float, first_seen: float, empty: bool = False
) -> list[list]:
    """Each caller asks at its own moments, evenly."""
    calls = []
    for caller in range(callers):
        offset = stock.chance.random() / per_second
        for n in range(int(seconds * per_second)):
            path, body = ("/alive", None) if empty else stock.body(first_seen)
            calls.append([offset + n / per_second, caller, ROOT + path, key, body])
    return sorted(calls, key=lambda one: one[0])


class _Callers:
    """A process that asks; `results` waits for its end."""

    def __init__(self, address: str, calls: Sequence[list], patience: float = WAIT) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.plan, self.out = Path(self.folder.name) / "plan.json", Path(self.folder.name) / "results.json"
        self.begins = time.time() + 2.0
        plan = {"address": address, "begins": self.begins, "patience": patience, "calls": list(calls)}
        self.plan.write_text(json.dumps(plan))
        self.process = subprocess.Popen([sys.executable, "-m", "benchmarks.callers", self.plan, self.out], cwd=CHECKOUT)

    def results(self) -> tuple[list[dict[str, Any]], float]:
        if self.process.wait() != 0:
            raise RuntimeError("the callers failed")
        found = json.loads(self.out.read_text())
        self.folder.cleanup()
        return found["results"], found["busy"]


def _asked(address: str, calls: Sequence[list], patience: float = WAIT) -> tuple[list[dict[str, Any]], float]:
    return _Callers(address, calls, patience).results()


def _percentile(results: Sequence[dict[str, Any]], share: float) -> float:
    """Milliseconds."""
    found = sorted(one["latency"] for one in results)
    return 1000 * found[min(len(found) - 1, int(share * len(found)))]


def _errors(results: Sequence[dict[str, Any]]) -> int:
    return sum(one["status"] != 200 for one in results)


# --- What is measured


def _steady(
    measured: Measured, one: Instance, server: _Server, stock: Stock, key: str, seconds: float, say: Callable
) -> None:
    # What is asked for all day is known to both workers.
    warm = [
        [n * 0.1, n % 4, ROOT + path, key, body] for n, (path, body) in enumerate(stock.body(0.0) for _ in range(150))
    ]
    _asked(server.address, warm)
    alone, _ = _asked(server.address, _plan(stock, key, callers=1, seconds=10, per_second=5, first_seen=0.0))
    measured.values["p50_ms_1"] = _percentile(alone, 0.5)
    shape = {"callers": CALLERS, "seconds": seconds, "per_second": PER_SECOND}
    api, slugs = airflow.Api(one), report.active_clients(one)
    with _training(api, slugs) as nights:
        empty, _ = _asked(
            server.address, _plan(stock, key, **(shape | {"seconds": seconds / 3}), first_seen=0, empty=True)
        )
        before = _cache(server.address, key)
        found, busy = _asked(server.address, _plan(stock, key, **shape, first_seen=FIRST_SEEN))
        after = _cache(server.address, key)
    hits, misses = (after[place] - before[place] for place in (0, 1))
    late = max(one["late"] for one in found)
    measured.values |= {
        "requests": len(found),
        "errors": _errors(found) + _errors(empty) + _errors(alone),
        "p95_ms_50": _percentile(found, 0.95),
        "p99_ms_50": _percentile(found, 0.99),
        "over_empty_ratio": _percentile(found, 0.5) / _percentile(empty, 0.5),
        "cache_hit_share": hits / (hits + misses),
    }
    statuses = sorted({str(one["status"]) for one in found if one["status"] != 200})
    measured.details |= {
        "errors": ", ".join(statuses),
        "p95_ms_50": f"p50 {_percentile(found, 0.5):.0f}, empty p50 {_percentile(empty, 0.5):.1f} p95 "
        f"{_percentile(empty, 0.95):.0f}; {nights[0]} nights trained meanwhile",
        "p99_ms_50": f"the callers were busy {busy:.0%} of a core, at most {late * 1000:.0f} ms late",
    }
    say(f"{len(found)} requests: p95 {measured.values['p95_ms_50']:.0f} ms, {measured.values['errors']} errors")


@contextlib.contextmanager
def _training(api: airflow.Api, slugs: Sequence[str]) -> Iterator[list[int]]:
    """Nights of every client, one after the other, that train all models anew."""
    ended, nights = threading.Event(), [0]

    def live() -> None:
        while not ended.is_set():
            run_id = nightly.trigger(api, slugs, nightly.parameters(force=True))
            while not nightly.read(api, run_id, list(slugs)).ended and not ended.is_set():
                time.sleep(0.5)
            nights[0] += 1

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield nights
    finally:
        ended.set()
        thread.join()


def _cache(address: str, key: str) -> tuple[int, int]:
    """Hits and misses of all workers: asked until both have told."""
    found: dict[int, tuple[int, int]] = {}
    for _ in range(200):
        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=WAIT) as client:
            said = client.get(f"{ROOT}/alive").json()
        found[said["process"]] = (said["cache_hits"], said["cache_misses"])
    return sum(one[0] for one in found.values()), sum(one[1] for one in found.values())


def _switch(measured: Measured, databases: Databases, server: _Server, stock: Stock, key: str, say: Callable) -> None:
    """From the commit on the primary until no connection is answered by what served before."""
    with databases.session(PRIMARY) as primary, primary.as_client(CLIENT) as tx:
        champion = champions.read(tx, CLIENT)["complexity"]
    path, keys = f"{ROOT}/estimate-complexity", stock.hot["/estimate-complexity"][:KEYS]
    calls = [[n * 0.02, n % 20, path, key, {"issue_keys": keys}] for n in range(500)]
    asking = _Callers(server.address, calls)
    time.sleep(max(0.0, asking.begins - time.time()) + 3)
    target = {
        "rung": RECENT,
        "model_uuid": None,
        "model_name": champion.model_name,
        "replica_conn_id": champion.replica_conn_id,
        "pgml_model_id": None,
        "feature_hash": None,
    }
    moved = time.time() - asking.begins
    with databases.session(PRIMARY) as primary, primary.as_client(CLIENT) as tx:
        promotion.move(
            tx, CLIENT, "complexity", champion, target, None, "bench serving", "to measure how fast it is seen"
        )
    found, _ = asking.results()
    answered = [one for one in found if one["status"] == 200]
    old = [one["at"] + one["latency"] for one in answered if one["models"] != [""]]
    if not old or len(old) == len(answered):
        raise RuntimeError(f"of {len(answered)} answers {len(old)} are of the old model: nothing was seen to change")
    measured.values["switch_s"] = max(old) - moved
    measured.details["switch_s"] = f"{len(found)} requests on 20 connections, two workers"
    promotion.rollback(databases, SLUG, "complexity", actor="bench serving", reason="as it was")
    say(f"a new model is seen by all after {measured.values['switch_s']:.2f} s")


def _kills(measured: Measured, primary: str, server: _Server, stock: Stock, key: str, say: Callable) -> None:
    calls = _plan(stock, key, callers=10, seconds=KILLS * 4.0, per_second=2, first_seen=FIRST_SEEN)
    asking = _Callers(server.address, calls)
    time.sleep(max(0.0, asking.begins - time.time()))
    for _ in range(KILLS):
        time.sleep(1.0 + stock.chance.random())
        server.kill()
        server.start()
    _account(measured, primary, asking.results()[0], f"{KILLS} kills", say)


def _primary_away(
    measured: Measured, servers: clusters.Clusters, primary: str, server: _Server, stock: Stock, key: str, say: Callable
) -> None:
    seconds = AWAY_SECONDS + 20.0
    asking = _Callers(
        server.address, _plan(stock, key, callers=10, seconds=seconds, per_second=2, first_seen=FIRST_SEEN)
    )
    time.sleep(max(0.0, asking.begins - time.time()) + 5)
    servers.primary.stop()
    time.sleep(AWAY_SECONDS)
    servers.primary.start()
    found, _ = asking.results()
    _account(measured, primary, found, f"primary away for {AWAY_SECONDS} s ({_errors(found)} errors)", say)


def _account(measured: Measured, primary: str, found: Sequence[dict[str, Any]], what: str, say: Callable) -> None:
    """Rows of the log against the answers that callers have received."""
    received = [uuid for one in found for uuid in one["uuids"] if not one["last_known"]]
    deadline, missing = time.monotonic() + 60, set(received)
    doubled = len(received) - len(set(received))
    with psycopg.connect(primary, autocommit=True) as connection:
        while missing and time.monotonic() < deadline:
            rows = connection.execute(
                "select prediction_uuid::text, count(*) from ml.prediction_log where prediction_uuid = any(%s::uuid[])"
                " group by 1",
                [list(missing)],
            ).fetchall()
            doubled += sum(count - 1 for _, count in rows)
            missing -= {uuid for uuid, _ in rows}
            time.sleep(0.5)
    values = measured.values
    values["log_rows_lost"] = values.get("log_rows_lost", 0) + len(missing)
    values["log_rows_double"] = values.get("log_rows_double", 0) + doubled
    detail = f"{what}: {len(received)} answers received, {len(missing)} without a row"
    measured.details["log_rows_lost"] = "; ".join(filter(None, [measured.details.get("log_rows_lost"), detail]))
    say(detail)


def _through_airflow(measured: Measured, one: Instance, stock: Stock, seconds: float, say: Callable) -> None:
    """A person's token and the API server that shows the UI as well, started just before."""
    service = airflow.service(one, "api-server")
    service.stop()
    airflow.start(one, ["api-server"])
    airflow.wait_until_healthy(one)
    api = airflow.Api(one)
    token = api.client.headers["Authorization"].removeprefix("Bearer ")
    calls = _plan(stock, token, callers=AIRFLOW_CALLERS, seconds=seconds, per_second=1, first_seen=FIRST_SEEN)
    for call in calls:
        call[4] = call[4] | {"client": SLUG}
    [first], _ = _asked(airflow.base_url(one), [[0.0, *calls[0][1:]]])
    found, _ = _asked(airflow.base_url(one), calls[1:])
    measured.values["cold_first_s"] = first["latency"]
    measured.values["p95_ms_airflow"] = _percentile(found, 0.95)
    measured.values["errors"] += _errors([first, *found])
    measured.values["requests"] += 1 + len(found)
    measured.details["p95_ms_airflow"] = f"p50 {_percentile(found, 0.5):.0f}, {_errors(found)} errors"
    say(f"through Airflow: p95 {measured.values['p95_ms_airflow']:.0f} ms, the first {first['latency']:.2f} s")


def _row_level_security(measured: Measured, databases: Databases, replica: str, say: Callable) -> None:
    """The query of a request's features as the client, and as somebody for whom no policy counts: pairs in turn."""
    spec, ratios = model_specs.read("complexity"), []
    with databases.session(REPLICA) as session, psycopg.connect(replica) as superuser:
        with session.as_client(CLIENT) as tx:
            rows = tx.connection.execute(
                "select id from ml.source_issues where client_id = 1 order by id desc limit 10"
            )
            ids = [row[0] for row in rows.fetchall()]
            as_of = tx.connection.execute("select localtimestamp").fetchone()[0]
        superuser.execute(
            sql.SQL("set search_path to {}, ml, public").format(sql.Identifier(names.client_schema(CLIENT)))
        )
        superuser.commit()
        for turn in range(24):
            spent = {}
            for mine in (True, False) if turn % 2 else (False, True):
                if mine:
                    with session.as_client(CLIENT) as tx:
                        began = time.perf_counter()
                        features.score(tx, spec, CLIENT, as_of, ids)
                        spent[mine] = time.perf_counter() - began
                else:
                    with superuser.transaction(force_rollback=True):
                        began = time.perf_counter()
                        features.score(Transaction(superuser), spec, CLIENT, as_of, ids)
                        spent[mine] = time.perf_counter() - began
            if turn >= 4:
                ratios.append(spent[True] / spent[False])
    measured.values["rls_ratio"] = statistics.median(ratios)
    measured.details["rls_ratio"] = f"median of {len(ratios)} pairs, features of ten issues"
    say(f"row-level security: {measured.values['rls_ratio']:.3f}")


def table(measured: Measured) -> Table:
    shown = Table("", "measured", "goal", "")
    for name, goal in GOALS.items():
        value = measured.values[name]
        shown.add_row(name, f"{value:.3f}".rstrip("0").rstrip("."), goal, measured.details.get(name, ""))
    return shown


def as_json(measured: Measured) -> str:
    return json.dumps({name: round(measured.values[name], 4) for name in GOALS})
