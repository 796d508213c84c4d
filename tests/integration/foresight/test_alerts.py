"""Alerts through Airflow's own transport, to a mail server and a webhook receiver that are there."""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest
from aiosmtpd.controller import Controller

from tests.support import airflow_home  # before anything of Airflow's
from tests.support.installation import Installation

from include.foresight import alerts, runtime  # isort: skip
from include.foresight.alerts import Alert  # isort: skip


class Mailbox:
    def __init__(self) -> None:
        self.letters: list[tuple[list[str], email.message.EmailMessage]] = []
        self.refuses = False

    async def handle_DATA(self, server, session, envelope) -> str:
        if self.refuses:
            return "554 no"
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.letters.append((envelope.rcpt_tos, letter))
        return "250 OK"


@pytest.fixture
def mailbox(monkeypatch) -> Iterator[Mailbox]:
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    extra = {
        "disable_ssl": True,
        "disable_tls": True,
        "retry_limit": 0,
        "timeout": 5,
        "from_email": "foresight@example.com",
        "to_email": "fleet@example.com",
    }
    connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_FORESIGHT_SMTP", json.dumps(connection))
    yield box
    controller.stop()


@pytest.fixture
def hook(monkeypatch) -> Iterator[list]:
    """(path, JSON) of every request; also reachable by the connection `acme_hook`, which is a client's own."""
    received: list[tuple[str, dict]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    for name, path in {"FORESIGHT_WEBHOOK": "fleet", "ACME_HOOK": "acme"}.items():
        connection = {"conn_type": "http", "host": f"http://127.0.0.1:{server.server_port}/{path}"}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(connection))
    yield received
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def primary(installed, monkeypatch) -> Installation:
    """The connection that tasks, callbacks and listeners use leads to this pair."""
    where = psycopg.conninfo.conninfo_to_dict(installed.app("foresight_primary"))
    connection = {
        "conn_type": "postgres",
        "host": where["host"],
        "port": int(where["port"]),
        "login": where["user"],
        "password": where["password"],
        "schema": where["dbname"],
    }
    monkeypatch.setenv("AIRFLOW_CONN_FORESIGHT_PRIMARY", json.dumps(connection))
    return installed


@pytest.fixture
def client(primary, client_ids) -> str:
    """A client with recipients of its own."""
    number = next(client_ids)
    primary.add_client(
        number, f"Acme {number} «О'Нил»", alert_emails=["ops@acme.example"], alert_webhook_conn_id="acme_hook"
    )
    return f"client_{number}"


def recorded(pair: Installation, slug: str | None = None) -> list[str]:
    query = (
        "select cause from ml.alerts left join ml.clients using (client_id) where slug is not distinct from %(slug)s"
    )
    return [cause for (cause,) in pair.rows(pair.primary, query, {"slug": slug})]


def test_a_failed_run_reaches_the_clients_own_recipients(primary, client, mailbox, hook):
    assert runtime.run_failed(f"nightly__{client}", "scheduled__1", "task_failure") is True
    [(recipients, letter)] = mailbox.letters
    assert recipients == ["ops@acme.example"]
    assert letter["From"] == "foresight@example.com"
    assert "«О'Нил» failed" in letter["Subject"]
    body = letter.get_body(("html",)).get_content()
    assert "scheduled__1" in body and "http://airflow.example/dags/nightly__client" in body
    [(path, payload)] = hook
    assert path == "/acme"
    assert payload["client"] == client and "scheduled__1" in payload["text"]
    assert recorded(primary, client) == [payload["cause"]]


def test_the_report_of_the_run_says_what_failed(primary, client, mailbox):
    insert = (
        "insert into ml.nightly_runs (run_id, client_id, dag_run_id, as_of, code_version, failed_tasks, finished_at) "
        "select gen_random_uuid(), client_id, 'scheduled__2', now(), 'x', '{train}', now() from ml.clients "
        "where slug = %(slug)s"
    )
    with psycopg.connect(primary.primary) as connection:
        connection.execute(insert, {"slug": client})
    assert runtime.run_failed(f"nightly__{client}", "scheduled__2", "task_failure")
    assert "Failed: train." in mailbox.letters[0][1].get_body(("html",)).get_content()
    assert not runtime.run_failed(f"nightly__{client}", "scheduled__2", "task_failure")
    with psycopg.connect(primary.primary) as connection:
        connection.execute("update ml.nightly_runs set finished_at = now() + interval '1 hour'")
    assert runtime.run_failed(f"nightly__{client}", "scheduled__2", "task_failure"), "cleared, and failed again"
    assert len(mailbox.letters) == 2


def test_a_client_without_recipients_is_the_fleets_affair(primary, client_ids, mailbox, hook):
    slug = f"client_{primary.add_client(next(client_ids))}"
    assert runtime.run_failed(f"nightly__{slug}", "r", "timed_out")
    assert mailbox.letters[0][0] == ["fleet@example.com"]
    assert hook[0][0] == "/fleet"


def test_callback_and_listener_of_one_failure_send_one_message(primary, client, mailbox, hook):
    """At the same moment, several times over: the second waits for the first and finds it told."""

    def told(_) -> bool:
        return runtime.run_failed(f"nightly__{client}", "scheduled__3", "task_failure")

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(told, range(8))) == 1
    assert len(mailbox.letters) == len(hook) == 1


def test_what_nobody_took_is_told_by_the_next_who_notices(primary, client, mailbox, caplog):
    mailbox.refuses = True
    assert runtime.run_failed(f"nightly__{client}", "scheduled__4", "task_failure") is False
    assert recorded(primary, client) == []
    assert "Nobody was told" in caplog.text
    mailbox.refuses = False
    assert runtime.run_failed(f"nightly__{client}", "scheduled__4", "task_failure") is True


def test_without_channels_there_is_a_line_in_the_log_and_a_record(primary, client_ids, caplog):
    slug = f"client_{primary.add_client(next(client_ids))}"
    assert runtime.run_failed(f"nightly__{slug}", "r", "task_failure")
    assert f"ALERT (no channel is set up) Foresight: the nightly of Client {slug[7:]} failed" in caplog.text
    assert len(recorded(primary, slug)) == 1


def test_a_webhook_that_is_named_but_not_there_is_said_and_breaks_nothing(primary, client_ids, mailbox, caplog):
    slug = f"client_{primary.add_client(next(client_ids), alert_webhook_conn_id='nowhere')}"
    assert runtime.run_failed(f"nightly__{slug}", "r", "task_failure"), "the mail went out"
    assert "no connection 'nowhere'" in caplog.text


def test_no_message_of_one_client_names_another(primary, client, client_ids, mailbox, hook):
    primary.add_client(next(client_ids), "Secret & Sons", slug="secret_sons")
    for run in ("a", "b"):
        runtime.run_failed(f"nightly__{client}", run, "task_failure")
    everything = json.dumps([payload for _, payload in hook]) + "".join(str(letter) for _, letter in mailbox.letters)
    assert "Secret" not in everything and "secret_sons" not in everything


def test_markup_in_a_name_is_text_in_the_mail(primary, client_ids, mailbox):
    slug = f"client_{primary.add_client(next(client_ids), '<b>bold</b>')}"
    runtime.tell(Alert(slug, "markup", "subject", "a <script> & more"))
    assert "a &lt;script&gt; &amp; more" in mailbox.letters[0][1].get_body(("html",)).get_content()


def test_a_failure_of_the_fleets_dags_is_told_once_a_day(primary, mailbox):
    assert [runtime.run_failed("sync_clients", run, "task_failure") for run in ("a", "b")] == [True, False]
    assert [recipients for recipients, _ in mailbox.letters] == [["fleet@example.com"]]
    assert runtime.run_failed("some_other_dag", "a", "task_failure") is False


def test_findings_of_health_are_told_each_and_their_dag_not_on_top(primary, mailbox):
    from airflow.sdk.exceptions import AirflowFailException

    troubles = [Alert(None, f"trouble {number}", f"subject {number}", "body") for number in (1, 2)]
    with pytest.raises(AirflowFailException, match="subject 1: body; subject 2: body"):
        runtime.found(troubles)
    assert runtime.run_failed("health", "r", "task_failure") is False
    with contextlib.suppress(AirflowFailException):
        runtime.found(troubles)
    assert len(mailbox.letters) == 2
    runtime.found([])


def test_an_import_error_of_ours_is_told_and_of_others_not(primary, mailbox):
    ours = str(airflow_home.ROOT / "dags" / "nightly.py")
    assert runtime.import_failed(ours, "Traceback\nSyntaxError: bad") is True
    assert runtime.import_failed(ours, "Traceback\nSyntaxError: bad") is False
    assert runtime.import_failed("/elsewhere/dags/x.py", "Traceback") is False
    assert "SyntaxError: bad" in mailbox.letters[0][1].get_body(("html",)).get_content()


def test_without_the_primary_one_message_an_hour_is_sent(mailbox, monkeypatch, tmp_path):
    monkeypatch.setenv("FORESIGHT_REGISTRY_SNAPSHOT", str(tmp_path / "clients.json"))
    away = {"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "login": "x", "password": "y", "schema": "z"}
    monkeypatch.setenv("AIRFLOW_CONN_FORESIGHT_PRIMARY", json.dumps(away))
    # Just before the hour, the two might fall on either side of it.
    causes = {alerts.primary_away(OSError(), "", alerts.datetime.datetime.now(alerts.datetime.UTC)).cause}
    told = [runtime.run_failed(f"nightly__c{number}", "r", "task_failure") for number in range(3)]
    causes.add(alerts.primary_away(OSError(), "", alerts.datetime.datetime.now(alerts.datetime.UTC)).cause)
    assert told[0] is True and sum(told) <= len(causes)
    assert len(mailbox.letters) == sum(told)
    recipients, letter = mailbox.letters[0]
    assert recipients == ["fleet@example.com"] and "primary" in letter["Subject"]
