"""The watchdog: what Airflow's endpoint says of its parts, nights that do not end, and one message for each."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import psycopg
import pytest

from include.foresight import alerts, watchdog
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
    told: list[Alert] = []

    class Sink:
        def email(self, to, subject, body) -> bool:
            return False

        def webhook(self, conn_id, payload) -> bool:
            told.append(payload["cause"])
            return True

    def tell(alert: Alert) -> bool:
        return alerts.send(installed.databases, alert, Sink())

    began(installed, slug, 4)
    assert watchdog.guard(installed.databases, airflow, tell, every=0, rounds=1) == 0
    assert watchdog.guard(installed.databases, airflow, tell, every=0, rounds=5) == 1
    Endpoint.state = WELL | {"scheduler": {"status": "unhealthy"}}
    assert watchdog.guard(installed.databases, airflow, tell, every=0, rounds=4) == 1
    assert [cause.split(":")[0] for cause in told] == ["hung_run", "component"]


def test_a_part_that_is_restarted_between_two_looks_is_no_trouble(installed, airflow: str):
    states = [{"scheduler": {"status": "unhealthy"}}, {}, {"scheduler": {"status": "unhealthy"}}, {}]

    def turn(_: Alert) -> bool:
        raise AssertionError("nothing to tell")

    real = watchdog.look

    def look(databases, url):
        Endpoint.state = WELL | states.pop(0)
        return real(databases, url)

    watchdog.look = look
    try:
        assert watchdog.guard(installed.databases, airflow, turn, every=0, rounds=4) == 0
    finally:
        watchdog.look = real


def test_a_primary_that_is_away_is_seen_too(airflow: str):
    from include.foresight.database import Databases

    away = Databases(lambda conn_id: psycopg.connect("host=127.0.0.1 port=1 connect_timeout=1"))
    found = watchdog.look(away, airflow)
    assert {one.cause.split(":")[1] for one in found} == {"missed_runs", "hung_runs", "model_troubles"}
    assert all("primary does not answer" in one.body for one in found)
