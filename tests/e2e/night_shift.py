"""A whole installation as `./foresight run` makes it, in a folder of its own, with two small clients and a receiver of
alerts; and what the tests ask of it."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from psycopg.rows import dict_row
from rich.console import Console

import demo
from demo import tables
from demo.book import Book, seconds
from demo.generator import write_client
from demo.profiles import PROFILES
from include.foresight import registry
from launcher import airflow, clusters, nightly, platform_data, processes, setup
from launcher import instance as instances
from launcher.instance import Instance
from launcher.nightly import Night
from launcher.progress import Progress
from tests.support.servers import free_port

# Like the demo's first two, a fifth of their size: the one learns, the other has less and is spelled worse.
SMALL = (
    replace(PROFILES[0], name="Acme", epics=60, children=500, issues=700, pull_requests=600),
    replace(PROFILES[1], name="O'Brien «Братья»", epics=12, children=60, issues=160, pull_requests=120),
)
ACME, BROTHERS = SLUGS = ("acme", "obrien_bratia")
# Comes while everything runs; goes while everything runs; has a schedule that is none.
NEWCOMER, LEAVER, BROKEN = "newcomer", "leaver", "broken"

WEBHOOK = "AIRFLOW_CONN_FORESIGHT_WEBHOOK"
# A night of a small client takes seconds; this is for a machine with much else to do.
PATIENCE = 150


@dataclass
class Receiver:
    """A webhook's other end, on a port of this machine: the messages so far, in order."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    # By name and attributes, what Airflow's metrics last said.
    measured: dict[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)

    @property
    def connection(self) -> str:
        return json.dumps({"conn_type": "http", "host": f"http://127.0.0.1:{self.port}/alerts"})

    @property
    def settings(self) -> dict[str, str]:
        """Alerts come here, and metrics."""
        return {
            WEBHOOK: self.connection,
            "AIRFLOW__METRICS__OTEL_ON": "True",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }

    def take(self, body: bytes) -> None:
        sent = ExportMetricsServiceRequest.FromString(body)
        for of_resource in sent.resource_metrics:
            for of_scope in of_resource.scope_metrics:
                for metric in of_scope.metrics:
                    for point in metric.gauge.data_points:
                        labels = frozenset((one.key, one.value.string_value) for one in point.attributes)
                        self.measured[metric.name, labels] = point.as_double or float(point.as_int)

    def of(self, slug: str | None, cause: str) -> list[dict[str, Any]]:
        return [one for one in self.messages if one["client"] == slug and one["cause"].startswith(cause)]

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/metrics":
                    receiver.take(body)
                else:
                    receiver.messages.append(json.loads(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@dataclass
class Sightings:
    """When each DAG was on offer for the first and for the last time (`time.monotonic`), seen twice a second."""

    api: airflow.Api
    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    looked: float = 0.0

    def look(self) -> None:
        offered = [dag["dag_id"] for dag in self.api.get("/dags", limit=100)["dags"]]
        self.looked = time.monotonic()
        for dag_id in offered:
            self.first.setdefault(dag_id, self.looked)
            self.last[dag_id] = self.looked

    def gone(self, dag_id: str) -> bool:
        return self.last[dag_id] < self.looked

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.5):
                # The API server may be busy for a moment; what counts is what it says when it answers.
                with contextlib.suppress(Exception):
                    self.look()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@dataclass
class System:
    """Everything up. `registered`: when (`time.monotonic`) these tests put a client into the registry."""

    instance: Instance
    api: airflow.Api
    receiver: Receiver
    sightings: Sightings
    progress: Progress
    client_ids: dict[str, int] = field(default_factory=dict)
    registered: dict[str, float] = field(default_factory=dict)

    # --- Databases

    def conninfo(self, name: str) -> str:
        return getattr(clusters.of(self.instance), name).conninfo(
            airflow.DATABASE if name == "metadata" else setup.PLATFORM
        )

    @contextlib.contextmanager
    def superuser(self, name: str) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.conninfo(name), autocommit=True) as connection:
            yield connection

    def rows(self, name: str, query: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        with psycopg.connect(self.conninfo(name), row_factory=dict_row) as connection:
            return connection.execute(query, values).fetchall()

    def column(self, name: str, query: str, values: Mapping[str, Any] | None = None) -> list[Any]:
        return [next(iter(row.values())) for row in self.rows(name, query, values)]

    def register(self, slug: str, **values: Any) -> None:
        """A client of the platform's without any row, and its entry in the registry."""
        with self.superuser("primary") as connection:
            query = "insert into public.clients (name) values (%(slug)s) returning id"
            client_id = connection.execute(query, {"slug": slug}).fetchone()[0]
            entry = {"client_id": client_id, "slug": slug, "name": slug, "schedule": not_soon()} | values
            connection.execute(
                "insert into ml.clients (client_id, slug, name, schedule)"
                " values (%(client_id)s, %(slug)s, %(name)s, %(schedule)s)",
                entry,
            )
        self.client_ids[slug], self.registered[slug] = client_id, time.monotonic()

    def set_active(self, slug: str, active: bool) -> None:
        with self.superuser("primary") as connection:
            connection.execute(
                "update ml.clients set active = %(active)s where slug = %(slug)s", {"active": active, "slug": slug}
            )

    # --- Nights

    def trigger(self, *slugs: str, **parameters: Any) -> str:
        return nightly.trigger(self.api, slugs, nightly.parameters(**parameters))

    def follow(self, run_id: str, *slugs: str) -> Night:
        night = nightly.follow(self.api, run_id, list(slugs), self.progress, patience=PATIENCE)
        for failed in night.failed_tasks:
            self.progress.say(f"{failed}: {self.complaints(run_id, *failed.split('.'))}")
        return night

    def night(self, *slugs: str, **parameters: Any) -> tuple[str, Night]:
        run_id = self.trigger(*slugs, **parameters)
        return run_id, self.follow(run_id, *slugs)

    def task(self, slug: str, run_id: str, task: str) -> dict[str, Any]:
        return self.api.get(f"/dags/{nightly.dag_id(slug)}/dagRuns/{run_id}/taskInstances/{task}")

    def wait_for_task(self, slug: str, run_id: str, task: str, state: str, patience: float = PATIENCE) -> None:
        self.wait(lambda: self.task(slug, run_id, task)["state"] == state, f"{task} of {slug} is {state}", patience)

    def wait(self, ready: Callable[[], Any], what: str, patience: float = PATIENCE) -> None:
        assert processes.wait_until(ready, patience, 0.1), f"not within {patience} s: {what}"

    def complaints(self, run_id: str, slug: str, task: str) -> str:
        """What a task's log has of warnings and worse, and the exceptions themselves."""
        folder = self.instance.logs / "tasks" / f"dag_id={nightly.dag_id(slug)}" / f"run_id={run_id}"
        said = []
        for path in sorted((folder / f"task_id={task}").glob("*.log")):
            for line in map(json.loads, path.read_text().splitlines()):
                if line.get("level") not in ("debug", "info"):
                    said += [line["event"], *(one["exc_value"] for one in line.get("error_detail") or ())]
        return "; ".join(said)

    def fleet_run(self, dag_id: str) -> dict[str, str]:
        """A run of one of the fleet's DAGs to its end; the states of its tasks."""
        run_id = f"manual__{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%S.%f}+00:00"
        self.api.trigger(dag_id, run_id, {})
        self.wait(lambda: self.api.runs(run_id).get(dag_id) in nightly.ENDED, f"{dag_id} ends")
        return {task["task_id"]: task["state"] for task in self.api.tasks(run_id)}

    def event(self, asset: str) -> None:
        """An event of the asset of that name, as a task would leave it."""
        [found] = self.api.get("/assets", name_pattern=asset)["assets"]
        answer = self.api.client.post("/api/v2/assets/events", json={"asset_id": found["id"], "extra": {}})
        assert answer.is_success, answer.text

    def alerts(self, slug: str | None) -> list[str]:
        """The causes of the alerts that were recorded for a client, or (None) for the fleet."""
        query = (
            "select cause from ml.alerts left join ml.clients using (client_id)"
            " where slug is not distinct from %(slug)s order by alert_id"
        )
        return self.column("primary", query, {"slug": slug})


def not_soon() -> str:
    """A nightly schedule that is due in twelve hours, whenever the tests run."""
    due = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=12)
    return f"{due.minute} {due.hour} * * *"


def load_small_clients(instance: Instance) -> None:
    """The platform's tables and the rows of the small clients, in place of the demo's."""
    place = clusters.of(instance).primary.conninfo(
        setup.PLATFORM, user=setup.PLATFORM, password=instance.secrets["platform"]
    )
    demo.create_platform(place)
    end = demo.utc(datetime.datetime.now(datetime.UTC)).replace(minute=0, second=0, microsecond=0)
    book = Book(end=seconds(end))
    for client_id, profile in enumerate(SMALL, start=1):
        write_client(profile, client_id, np.random.default_rng([0, client_id]), book)
    tables.load(place, book.tables(), dict.fromkeys(range(1, len(SMALL) + 1), end))
    instance.mark("platform_data", "loaded")


def provide_databases(instance: Instance, progress: Progress) -> None:
    """As set-up does it, with our data; and no nightly becomes due by itself while the tests run."""
    setup.cluster_with_database(instance, "primary")
    load_small_clients(instance)
    setup.provide_databases(instance, progress)
    both = clusters.of(instance)
    primary, replica = (one.conninfo(setup.PLATFORM) for one in (both.primary, both.replica))
    with psycopg.connect(primary) as connection:
        connection.execute("update ml.clients set schedule = %(schedule)s", {"schedule": not_soon()})
    registry.sync(platform_data.databases(primary, replica, instance.secrets["app"]), instance.snapshot)


def start(instance: Instance, progress: Progress) -> None:
    """`setup.whole` without its nightlies."""
    setup.assign_ports(instance)
    with ThreadPoolExecutor() as pool:
        setup.finish(
            [
                pool.submit(provide_databases, instance, progress),
                pool.submit(setup.start_airflow, instance, progress),
            ]
        )
    airflow.start(instance, ["dag-processor"])
    airflow.wait_until_healthy(instance)


@contextlib.contextmanager
def running(slugs: Sequence[str] = SLUGS) -> Iterator[System]:
    """Made, up, and gone afterwards with everything in it."""
    engine = os.environ.get("FORESIGHT_ENGINE_VENV")
    assert engine, "FORESIGHT_ENGINE_VENV names the server's environment: start through ./foresight test"
    home = Path(tempfile.mkdtemp(prefix="foresight-e2e-", dir="/var/tmp"))
    home.chmod(0o755)
    (home / "engine").symlink_to(engine)
    receiver, progress = Receiver(), Progress(Console(width=200))
    variables = {"FORESIGHT_HOME": str(home)} | receiver.settings
    before = {name: os.environ.get(name) for name in variables}
    os.environ |= variables
    try:
        instance = instances.load_or_create("e2e", None)
        with receiver.listening(), ended_at_last(instance):
            start(instance, progress)
            api = airflow.Api(instance)
            api.ensure_pool(setup.REPLICA_POOL, setup.REPLICA_SLOTS, "Sessions on the ML replica.")
            api.wait_for_dags({nightly.dag_id(slug) for slug in slugs})
            sightings = Sightings(airflow.Api(instance))
            system = System(instance, api, receiver, sightings, progress)
            query = "select slug, client_id from ml.clients"
            system.client_ids |= {row["slug"]: row["client_id"] for row in system.rows("primary", query)}
            with contextlib.closing(api.client), contextlib.closing(sightings.api.client), sightings.watching():
                yield system
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(home)


@contextlib.contextmanager
def ended_at_last(instance: Instance) -> Iterator[None]:
    """Nothing of the instance runs afterwards. Not as politely as `./foresight stop`: all of it is thrown away."""
    try:
        yield
    finally:
        if instance.ports:
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda service: service.stop(patience=1), airflow.services(instance)))
            clusters.of(instance).stop()
