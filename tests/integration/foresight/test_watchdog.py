"""The watchdog: what Airflow's endpoint says of its parts, nights that do not end, and one message for each."""

from __future__ import annotations

import datetime
import http.server
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import delete

from tests.support import airflow_home  # noqa: F401, before anything of Airflow's

from airflow import settings as airflow_settings  # isort: skip
from airflow.models.connection import Connection  # isort: skip
from airflow.models.dag import DagModel  # isort: skip
from airflow.models.dagbundle import DagBundleModel  # isort: skip
from airflow.utils.session import create_session  # isort: skip

from include.foresight import outbox, runtime, watchdog
from include.foresight.alerts import Alert

WELL = {name: {"status": "healthy"} for name in watchdog.COMPONENTS}


class Endpoint(http.server.BaseHTTPRequestHandler):
    """Airflow's, as it answers: the watchdog sees no more of Airflow than this."""

    state: dict = WELL

    def do_GET(self) -> None:
        assert self.path == "/api/v2/monitor/health"
        said = json.dumps(self.state).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def airflow() -> Iterator[str]:
    Endpoint.state = dict(WELL)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def slug(installed, client_ids) -> Iterator[str]:
    number = installed.add_client(next(client_ids))
    yield f"client_{number}"
    with psycopg.connect(installed.primary) as connection:
        connection.execute("update ml.clients set active = false")


def began(installed, slug: str, hours: int, state: str = "prepared") -> None:
    with psycopg.connect(installed.primary) as connection:
        connection.execute(
            "insert into ml.nightly_runs (run_id, client_id, dag_run_id, as_of, code_version, started_at, state)"
            " select gen_random_uuid(), client_id, 'a night', now(), 'x', now() - make_interval(hours => %s), %s"
            " from ml.clients where slug = %s",
            [hours, state, slug],
        )


def test_a_dead_part_is_named_with_its_last_heartbeat(airflow: str):
    assert watchdog.components(airflow) == []
    Endpoint.state = WELL | {
        "scheduler": {"status": "unhealthy", "latest_scheduler_heartbeat": "2026-03-10T02:00:00+00:00"},
        "triggerer": {"status": None},
    }
    scheduler, triggerer = watchdog.components(airflow)
    assert "scheduler" in scheduler.subject and "2026-03-10T02:00:00" in scheduler.body
    assert "triggerer" in triggerer.subject and "no heartbeat" in triggerer.body


def test_a_server_that_does_not_answer_is_a_trouble():
    [alert] = watchdog.components("http://127.0.0.1:1")
    assert "API server" in alert.subject and "ConnectError" in alert.body


def test_a_night_that_does_not_end_is_told_to_its_client(installed, slug: str):
    began(installed, slug, 2)
    assert watchdog.hung_runs(installed.databases) == []
    began_long_ago = "update ml.nightly_runs set started_at = now() - interval '4 hours'"
    with psycopg.connect(installed.primary) as connection:
        connection.execute(began_long_ago)
    [alert] = watchdog.hung_runs(installed.databases)
    assert alert.slug == slug and "a night" in alert.body


def test_what_two_looks_find_is_told_once(installed, slug: str, airflow: str):
    told: list[str] = []

    class Sink:
        def email(self, to, subject, body) -> bool:
            return False

        def webhook(self, conn_id, payload) -> bool:
            told.append(payload["cause"])
            return True

    def guard(rounds: int) -> int:
        return watchdog.guard(
            lambda: watchdog.look(installed.databases, airflow),
            lambda found: outbox.send(installed.databases, found, Sink()),
            every=0,
            rounds=rounds,
        )

    began(installed, slug, 4)
    assert guard(1) == 0
    assert guard(5) == 1
    Endpoint.state = WELL | {"scheduler": {"status": "unhealthy"}}
    assert guard(4) == 1
    assert [cause.split(":")[0] for cause in told] == ["hung_run", "component"]


def test_a_part_that_is_restarted_between_two_looks_is_no_trouble(installed, airflow: str):
    states = [{"scheduler": {"status": "unhealthy"}}, {}, {"scheduler": {"status": "unhealthy"}}, {}]
    sent: list[Alert] = []

    def find() -> list[Alert]:
        Endpoint.state = WELL | states.pop(0)
        return watchdog.look(installed.databases, airflow)

    def send(found: Sequence[Alert]) -> Sequence[Alert]:
        sent.extend(found)
        return found

    assert watchdog.guard(find, send, every=0, rounds=4) == 0
    assert sent == [] and states == []


def test_a_primary_that_is_away_is_seen_too(airflow: str):
    from include.foresight.database import Databases

    away = Databases(lambda conn_id: psycopg.connect("host=127.0.0.1 port=1 connect_timeout=1"))
    found = watchdog.look(away, airflow)
    assert {one.cause.split(":")[1] for one in found} == {"missed_runs", "hung_runs", "model_troubles"}
    assert all("primary does not answer" in one.body for one in found)


def test_a_dag_that_is_paused_misses_nothing(installed, client_ids, airflow: str):
    due = datetime.datetime.now(datetime.UTC) - timedelta(days=30)
    number = installed.add_client(next(client_ids), schedule="0 2 * * *", provisioned_at=due)

    def found(paused: str) -> list[str | None]:
        return [alert.slug for alert in watchdog.look(installed.databases, airflow, lambda dag_id: dag_id == paused)]

    try:
        assert found("nightly__other") == [f"client_{number}"]
        assert found(f"nightly__client_{number}") == []
    finally:
        with psycopg.connect(installed.primary) as connection:
            connection.execute("update ml.clients set active = false")


@pytest.fixture(scope="module")
def metadata() -> None:
    from airflow.utils import db

    db.initdb()


@pytest.fixture
def known(metadata: None, monkeypatch) -> Iterator[Callable[..., None]]:
    """Adds a connection to Airflow's database, which alone knows it."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]:
        monkeypatch.delenv(name)
    added: list[str] = []

    def add(conn_id: str, **values: Any) -> None:
        added.append(conn_id)
        with create_session() as session:
            session.execute(delete(Connection).where(Connection.conn_id == conn_id))
            session.add(Connection(conn_id=conn_id, **values))

    yield add
    with create_session() as session:
        session.execute(delete(Connection).where(Connection.conn_id.in_(added)))
    for conn_id in added:
        os.environ.pop(f"AIRFLOW_CONN_{conn_id.upper()}", None)


class Hook(http.server.BaseHTTPRequestHandler):
    heard: list[str]

    def do_POST(self) -> None:
        self.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["cause"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[str]:
    Hook.heard = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()


@pytest.fixture
def once(installed, known, airflow: str, monkeypatch, tmp_path) -> Callable[[], None]:
    """The process itself, for one look, where only Airflow's database knows the primary."""
    where = psycopg.conninfo.conninfo_to_dict(installed.app("foresight_primary"))
    address = {"host": where["host"], "port": int(where["port"]), "schema": where["dbname"]}
    known("foresight_primary", conn_type="postgres", login=where["user"], password=where["password"], **address)
    monkeypatch.setenv("FORESIGHT_REGISTRY_SNAPSHOT", str(tmp_path / "clients.json"))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", airflow)
    monkeypatch.setattr(sys, "argv", ["watchdog", "--once"])
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    return watchdog.main


def test_the_process_uses_the_channels_that_airflow_knows(installed, known, hook: str, slug: str, once, caplog):
    """Outside Airflow nothing but the environment is read by itself; clients' own channels count as well."""
    known("foresight_webhook", conn_type="http", host=hook, extra=json.dumps({"X-Token": "of the fleet"}))
    known("own_hook", conn_type="http", host=hook)
    Endpoint.state = WELL | {"scheduler": {"status": "unhealthy"}}
    began(installed, slug, 4)
    with psycopg.connect(installed.primary) as connection:
        connection.execute("update ml.clients set alert_webhook_conn_id = 'own_hook' where slug = %s", [slug])
        connection.execute("delete from ml.alerts")
    once()
    assert sorted(cause.split(":")[0] for cause in Hook.heard) == ["component", "hung_run"]
    assert "NO CHANNEL" not in caplog.text


def test_without_a_channel_the_process_says_so_and_silences_nobody(installed, known, hook: str, once, caplog):
    """The DAG `health`, which has one, sends what the watchdog has found."""
    Endpoint.state = WELL | {"triggerer": {"status": "unhealthy"}}
    with psycopg.connect(installed.primary) as connection:
        connection.execute("delete from ml.alerts")
    once()
    assert "NO CHANNEL" in caplog.text and "foresight_smtp" in caplog.text
    os.environ["AIRFLOW_CONN_FORESIGHT_WEBHOOK"] = json.dumps({"conn_type": "http", "host": hook})
    try:
        runtime.found([])
    finally:
        del os.environ["AIRFLOW_CONN_FORESIGHT_WEBHOOK"]
    assert [cause.split(":")[:2] for cause in Hook.heard] == [["component", "triggerer"]]


def test_what_airflow_knew_stays_while_its_database_is_away(known, monkeypatch):
    known("foresight_webhook", conn_type="http", host="http://one.example")
    monkeypatch.setenv("AIRFLOW_CONN_FORESIGHT_SMTP", json.dumps({"conn_type": "smtp", "host": "own.example"}))
    known("foresight_smtp", conn_type="smtp", host="other.example")
    with create_session() as session:
        session.add(DagBundleModel(name="paused"))
        session.flush()
        session.add(DagModel(dag_id="nightly__paused", bundle_name="paused", is_paused=True))
    outside = runtime.Outside()

    def seen() -> tuple[str | None, str | None, bool]:
        outside.refresh()
        hosts = [runtime.connection(conn_id) for conn_id in (runtime.WEBHOOK_CONN_ID, runtime.SMTP_CONN_ID)]
        return (*(found.host if found else None for found in hosts), outside.paused("nightly__paused"))

    # The environment's own comes first, as everywhere in Airflow.
    assert seen() == ("http://one.example", "own.example", True)
    known("foresight_webhook", conn_type="http", host="http://two.example")
    assert seen() == ("http://two.example", "own.example", True)
    with monkeypatch.context() as away:
        away.setattr(airflow_settings, "get_engine", None)
        away.setattr(airflow_settings, "Session", None)
        away.setattr(airflow_settings, "NonScopedSession", None)
        assert seen() == ("http://two.example", "own.example", True)
    with create_session() as session:
        session.execute(delete(DagModel).where(DagModel.dag_id == "nightly__paused"))
        session.execute(delete(DagBundleModel).where(DagBundleModel.name == "paused"))
        session.execute(delete(Connection).where(Connection.conn_id == "foresight_webhook"))
    assert seen() == (None, "own.example", False)


def test_a_database_of_airflows_that_hangs_is_not_waited_for(known, monkeypatch):
    over = threading.Event()
    outside = runtime.Outside()
    monkeypatch.setattr(outside, "_read", lambda: over.wait(30))
    outside.refresh(within=0.05)
    reader = outside._reader
    outside.refresh(within=0.05)
    assert reader.is_alive() and outside._reader is reader, "no second one is begun"
    over.set()
    reader.join()
