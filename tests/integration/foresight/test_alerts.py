"""Alerts through Airflow's own transport, to a mail server and a webhook receiver that are there."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller

from tests.support import airflow_home  # before anything of Airflow's
from tests.support.installation import Installation

from airflow.listeners.listener import ListenerManager  # isort: skip
from airflow.listeners.spec import dagrun, importerrors  # isort: skip
from airflow.sdk import DAG  # isort: skip
from airflow.sdk.exceptions import AirflowTaskTimeout  # isort: skip
from foresight_api import listener  # isort: skip
from include.foresight import alerts, health, metrics, runtime  # isort: skip
from include.foresight.alerts import Alert  # isort: skip
from include.foresight.errors import UnknownClient  # isort: skip


class Mailbox:
    """`answer`: what the server says to a letter that it does not take. `hangs`: it says nothing."""

    def __init__(self) -> None:
        self.letters: list[tuple[list[str], email.message.EmailMessage]] = []
        self.answer: str | None = None
        self.hangs = False

    async def handle_MAIL(self, server, session, envelope, address, options) -> str:
        if self.hangs:
            await asyncio.sleep(30)
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(self, server, session, envelope) -> str:
        if self.answer:
            return self.answer
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
        "retry_limit": 5,
        "timeout": 5,
        "from_email": "foresight@example.com",
        "to_email": "fleet@example.com",
    }
    connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_FORESIGHT_SMTP", json.dumps(connection))
    yield box
    controller.stop()


class Requests(list):
    """(path, JSON) of every request that was answered with 200. `status` is answered to them; 0 is none at all."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.over = threading.Event()


@pytest.fixture
def hook(monkeypatch) -> Iterator[Requests]:
    """Also reachable by the connection `acme_hook`, which is a client's own."""
    received = Requests()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not received.status:
                received.over.wait(30)
                return
            if received.status == 200:
                received.append((self.path, json.loads(body)))
            self.send_response(received.status)
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
    received.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def primary(installed, monkeypatch, tmp_path) -> Installation:
    """The connection that tasks, callbacks and listeners use leads to this pair, whose outbox has nothing due."""
    monkeypatch.setenv("FORESIGHT_REGISTRY_SNAPSHOT", str(tmp_path / "clients.json"))
    with psycopg.connect(installed.primary) as superuser:
        superuser.execute("update ml.alert_deliveries set expires_at = now()")
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
    """At the same moment, several times over: one of them finds it due."""

    def told(_) -> bool:
        return runtime.run_failed(f"nightly__{client}", "scheduled__3", "task_failure")

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(told, range(8))) == 1
    assert len(mailbox.letters) == len(hook) == 1


def due_again(pair: Installation) -> None:
    """As if the time until the next attempt had passed."""
    with psycopg.connect(pair.primary) as connection:
        connection.execute("update ml.alert_deliveries set next_attempt_at = now()")


def errors(pair: Installation) -> set[str]:
    query = "select last_error from ml.alert_deliveries where last_error is not null and expires_at > now()"
    return {error for (error,) in pair.rows(pair.primary, query)}


@pytest.mark.parametrize("outage", ["refuses", "answers 500", "hangs"])
def test_a_channel_that_is_away_for_a_while_gets_the_message_afterwards(
    primary, client, mailbox, hook, monkeypatch, caplog, outage
):
    """Nobody reports the failure again: the next who looks for anything sends it, in the DAG `health` for instance."""
    smtp, webhook = (json.loads(os.environ[f"AIRFLOW_CONN_{name}"]) for name in ("FORESIGHT_SMTP", "ACME_HOOK"))
    if outage == "refuses":
        monkeypatch.setenv("AIRFLOW_CONN_FORESIGHT_SMTP", json.dumps(smtp | {"port": 1}))
        monkeypatch.setenv("AIRFLOW_CONN_ACME_HOOK", json.dumps(webhook | {"host": "http://127.0.0.1:1/secret"}))
    elif outage == "answers 500":
        mailbox.answer, hook.status = "451 later", 500
    else:
        mailbox.hangs, hook.status = True, 0
        impatient = smtp | {"extra": smtp["extra"] | {"timeout": 1}}
        monkeypatch.setenv("AIRFLOW_CONN_FORESIGHT_SMTP", json.dumps(impatient))
        monkeypatch.setattr(runtime, "WEBHOOK_TIMEOUT", 0.2)
    assert runtime.run_failed(f"nightly__{client}", f"run {outage}", "task_failure") is False
    assert len(recorded(primary, client)) == 1 and len(errors(primary)) == 2
    assert "secret" not in caplog.text + str(errors(primary)), "whoever knows a webhook's address can use it"
    assert mailbox.letters == hook == []
    mailbox.answer, mailbox.hangs, hook.status = None, False, 200
    monkeypatch.setenv("AIRFLOW_CONN_FORESIGHT_SMTP", json.dumps(smtp))
    monkeypatch.setenv("AIRFLOW_CONN_ACME_HOOK", json.dumps(webhook))
    runtime.found([])
    assert mailbox.letters == hook == [], "not due yet"
    due_again(primary)
    runtime.found([])
    due_again(primary)
    runtime.found([])
    assert [recipients for recipients, _ in mailbox.letters] == [["ops@acme.example"]]
    assert [path for path, _ in hook] == ["/acme"]
    assert f"run {outage}" in hook[0][1]["text"]


def test_a_mail_server_is_asked_once_at_an_attempt(primary, client, mailbox, monkeypatch):
    """Airflow's hook would ask six times at once: thirty letters if it is the answer that gets lost."""
    asked = []

    async def refuse(server, session, envelope) -> str:
        asked.append(envelope.rcpt_tos)
        return "451 later"

    monkeypatch.setattr(mailbox, "handle_DATA", refuse)
    runtime.run_failed(f"nightly__{client}", "scheduled__4", "task_failure")
    assert len(asked) == 1


def test_what_one_process_has_no_channel_for_is_sent_by_one_that_has(primary, client, monkeypatch, mailbox, caplog):
    smtp = os.environ.pop("AIRFLOW_CONN_FORESIGHT_SMTP")
    with psycopg.connect(primary.primary) as connection:
        connection.execute("update ml.clients set alert_webhook_conn_id = null where slug = %s", [client])
    assert runtime.run_failed(f"nightly__{client}", "r", "task_failure") is False
    assert "ALERT (no channel is set up here) Foresight: the nightly of Acme" in caplog.text
    monkeypatch.setenv("AIRFLOW_CONN_FORESIGHT_SMTP", smtp)
    runtime.found([])
    assert [recipients for recipients, _ in mailbox.letters] == [["ops@acme.example"]]


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
    runtime.send(Alert(slug, "markup", "subject", "a <script> & more"))
    assert "a &lt;script&gt; &amp; more" in mailbox.letters[0][1].get_body(("html",)).get_content()


def test_a_failure_of_the_fleets_dags_is_told_once_a_day(primary, mailbox):
    assert [runtime.run_failed("sync_clients", run, "task_failure") for run in ("a", "b")] == [True, False]
    assert [recipients for recipients, _ in mailbox.letters] == [["fleet@example.com"]]
    assert runtime.run_failed("some_other_dag", "a", "task_failure") is False


def ended(dag_id: str, run_id: str, task_id: str, body: Callable[[], Any]) -> None:
    """A task of a fleet DAG, run to its end."""
    task = runtime.FleetOperator(task_id=task_id, python_callable=body, dag=DAG(dag_id, schedule=None))
    with contextlib.suppress(Exception, AirflowTaskTimeout):
        task.execute({"run_id": run_id})


def findings() -> None:
    runtime.found([Alert(None, f"a lasting finding {number}", f"subject {number}", "body") for number in (1, 2)])


def crash() -> None:
    raise KeyError("a value of a client's")


def health_run(run_id: str, **bodies: Callable[[], Any] | None) -> bool:
    """A failed run of the DAG `health`, whose tasks find nothing unless they are named (None: killed); whether its
    callback and the scheduler's listener sent a message."""
    for check in runtime.CHECKS:
        if body := bodies.get(check, list if check not in bodies else None):
            ended(runtime.HEALTH, run_id, check, body)
    return any([runtime.run_failed(runtime.HEALTH, run_id, "task_failure") for _ in range(2)])


def test_findings_of_health_are_sent_each_and_their_dag_not_on_top(primary, mailbox):
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match="subject 1: body; subject 2: body"):
        findings()
    assert health_run("r1", models=findings) is False
    assert len(mailbox.letters) == 2


def timeout() -> None:
    raise AirflowTaskTimeout


def test_a_lasting_finding_silences_no_other_failure_of_its_dag(primary, mailbox):
    """All on one day, beside the same finding."""
    assert health_run("f1", models=findings) is False
    sent = len(mailbox.letters)
    assert health_run("f2", models=findings, runs=crash) is True
    assert health_run("f3", models=findings, runs=crash) is False, "the same again"
    assert health_run("f4", models=findings, runs=timeout) is True
    assert health_run("f5", models=findings, replication=None) is True
    assert health_run("f6", models=findings) is False
    bodies = [letter.get_body(("html",)).get_content() for _, letter in mailbox.letters[sent:]]
    assert len(bodies) == 3
    assert "runs: KeyError" in bodies[0] and "client&#x27;s" not in bodies[0]
    assert "runs: AirflowTaskTimeout" in bodies[1]
    assert "replication: no result" in bodies[2]


def test_a_retry_that_passed_or_failed_of_its_findings_counts(primary, mailbox):
    ended(runtime.HEALTH, "t1", "runs", crash)
    assert health_run("t1", runs=findings) is False


def test_failures_of_two_kinds_and_of_two_requests_are_two_messages(primary, mailbox):
    """Of the other DAGs of the fleet too."""

    def unknown() -> None:
        raise UnknownClient("there is no 'x'")

    ended("sync_clients", "s1", "sync", unknown)
    assert runtime.run_failed("sync_clients", "s1", "task_failure") is True
    ended("sync_clients", "s2", "sync", crash)
    assert runtime.run_failed("sync_clients", "s2", "task_failure") is True
    for run in ("r1", "r2"):
        ended("rollback", run, "rollback", unknown)
        assert [runtime.run_failed("rollback", run, "task_failure") for _ in range(2)] == [True, False]
    assert "UnknownClient: there is no &#x27;x&#x27;" in mailbox.letters[-1][1].get_body(("html",)).get_content()


def test_a_run_of_a_fleet_dag_that_takes_too_long_is_reported(primary, mailbox):
    """Also where its tasks have left nothing but results: one of them still ran."""
    for check in runtime.CHECKS:
        ended(runtime.HEALTH, "long", check, list)
    assert runtime.run_failed(runtime.HEALTH, "long", runtime.TIMED_OUT) is True


def test_notes_of_a_week_ago_are_dropped(primary):
    ended(runtime.HEALTH, "old", "runs", list)
    with psycopg.connect(primary.primary) as connection:
        connection.execute("update ml.fleet_tasks set ended_at = now() - interval '8 days'")
    ended(runtime.HEALTH, "old", "runs", crash)
    ended(runtime.HEALTH, "new", "runs", list)
    rows = primary.rows(primary.primary, "select dag_run_id, state from ml.fleet_tasks order by 1")
    assert rows == [("new", "clean"), ("old", "failed")]


@pytest.mark.parametrize("gauge", ["fails", "hangs"])
def test_metrics_that_cannot_be_passed_on_neither_fail_nor_delay_the_check(primary, monkeypatch, caplog, gauge):
    """The check comes first, and its result is the task's."""
    from airflow.sdk.observability import stats

    over = threading.Event()

    def passed_on(*_, **__) -> None:
        if gauge == "hangs":
            over.wait(30)
        raise OSError("no such host: statsd")

    monkeypatch.setattr(stats, "gauge", passed_on)
    monkeypatch.setattr(runtime, "pass_on_metrics", lambda real=runtime.pass_on_metrics: real(within=0.2))
    trouble = Alert(None, f"found before the metrics {gauge}", "subject", "body")
    monkeypatch.setattr(health, "model_troubles", lambda _: [trouble])
    monkeypatch.setattr(metrics, "of_fleet", lambda _: [metrics.gauge("foresight_one", "one", 1.0)])
    try:
        with pytest.raises(runtime.Findings):
            runtime.check_models()
        assert "metrics not passed on" in caplog.text
        monkeypatch.setattr(health, "model_troubles", lambda _: [])
        runtime.check_models()
    finally:
        over.set()


def test_the_listener_reports_what_the_scheduler_and_the_dag_processor_hear(primary, client, mailbox):
    """As Airflow calls it, with a row of the scheduler's session, which another thread must not touch."""
    hearer = threading.current_thread()

    class Row:
        def __getattr__(self, name: str) -> str:
            assert threading.current_thread() is hearer
            return {"dag_id": f"nightly__{client}", "run_id": "heard"}[name]

    listeners = ListenerManager()
    for spec in (dagrun, importerrors):
        listeners.add_hookspecs(spec)
    listeners.add_listener(listener)
    listeners.hook.on_dag_run_failed(dag_run=Row(), msg="task_failure")
    file = str(airflow_home.ROOT / "dags" / "rollback.py")
    listeners.hook.on_new_dag_import_error(filename=file, stacktrace="Traceback\nSyntaxError: heard")
    for thread in threading.enumerate():
        if thread.name == "foresight-alert":
            thread.join(30)
    subjects = sorted(letter["Subject"] for _, letter in mailbox.letters)
    assert len(subjects) == 2
    assert subjects[0] == "Foresight: the DAG file dags/rollback.py cannot be imported"
    assert "«О'Нил» failed" in subjects[1]


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
    for number in range(3):
        assert runtime.run_failed(f"nightly__c{number}", "r", "task_failure") is False, "that message waits"
    causes.add(alerts.primary_away(OSError(), "", alerts.datetime.datetime.now(alerts.datetime.UTC)).cause)
    assert 1 <= len(mailbox.letters) <= len(causes)
    recipients, letter = mailbox.letters[0]
    assert recipients == ["fleet@example.com"] and "primary" in letter["Subject"]
