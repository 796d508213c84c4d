"""The outbox on a real primary: what is recorded once, claimed once, attempted again and given up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from include.foresight import outbox
from include.foresight.alerts import Alert
from include.foresight.database import Databases
from tests.support.installation import Installation


class Channels:
    """A transport whose channels take the message (True), are not set up (False), fail (an error) or are called."""

    def __init__(self, email: Any = True, webhook: Any = True) -> None:
        self.does = {"email": email, "webhook": webhook}
        self.sent: list[tuple[str, str, str]] = []
        self.lock = threading.Lock()

    def _send(self, channel: str, subject: str, body: str) -> bool:
        does = self.does[channel]
        does = does() if callable(does) else does
        if isinstance(does, Exception):
            raise does
        if does:
            with self.lock:
                self.sent.append((channel, subject, body))
        return does

    def email(self, to, subject, body) -> bool:
        return self._send("email", subject, body)

    def webhook(self, conn_id, payload) -> bool:
        return self._send("webhook", payload["subject"], payload["body"])

    @property
    def by(self) -> list[str]:
        return [channel for channel, *_ in self.sent]


@pytest.fixture
def primary(installed, tmp_path, monkeypatch) -> Installation:
    """With an outbox that has nothing due, and a folder for files."""
    monkeypatch.setenv("FORESIGHT_REGISTRY_SNAPSHOT", str(tmp_path / "clients.json"))
    with psycopg.connect(installed.primary) as connection:
        connection.execute("update ml.alert_deliveries set expires_at = now()")
    return installed


@pytest.fixture
def alert(request) -> Alert:
    return Alert(None, request.node.name, f"subject of {request.node.name}", "body")


def send(pair: Installation, channels: Channels, *found: Alert) -> set[outbox.Key]:
    return outbox.send(pair.databases, found, channels)


def due_again(pair: Installation) -> None:
    """As if the time until the next attempt had passed."""
    with psycopg.connect(pair.primary) as connection:
        connection.execute("update ml.alert_deliveries set next_attempt_at = now() where delivered_at is null")


def deliveries(pair: Installation, alert: Alert) -> dict[str, dict[str, Any]]:
    query = (
        "select channel, attempts, last_error, delivered_at is not null as delivered,"
        " extract(epoch from next_attempt_at - clock_timestamp())::float as wait"
        " from ml.alert_deliveries join ml.alerts using (alert_id) where cause = %(cause)s"
    )
    return {row.pop("channel"): row for row in pair.dicts(pair.primary, query, {"cause": alert.cause})}


def test_each_channel_gets_an_alert_once(primary, alert):
    channels = Channels()
    assert send(primary, channels, alert, alert) == {alert.key}
    assert send(primary, channels, alert) == send(primary, channels) == set()
    assert sorted(channels.by) == ["email", "webhook"]


def test_what_a_channel_did_not_take_is_tried_again_by_whoever_looks_next(primary, alert):
    """Also by one that reports nothing itself; later each time."""
    assert send(primary, Channels(OSError("refused"), OSError("500")), alert) == set()
    state = deliveries(primary, alert)["email"]
    assert (state["attempts"], state["last_error"], state["delivered"]) == (1, "OSError: refused", False)
    assert 0 < state["wait"] <= outbox.FIRST_RETRY
    assert send(primary, Channels(), alert) == set(), "it is not due yet"
    due_again(primary)
    assert send(primary, Channels(OSError("hangs"), OSError("hangs"))) == set()
    assert deliveries(primary, alert)["email"]["wait"] > outbox.FIRST_RETRY
    due_again(primary)
    channels = Channels()
    assert send(primary, channels) == {alert.key}
    assert sorted(channels.by) == ["email", "webhook"]
    due_again(primary)
    assert send(primary, channels) == set()


def test_a_channel_that_failed_is_tried_again_and_the_other_is_not(primary, alert):
    channels = Channels(email=OSError("refused"))
    assert send(primary, channels, alert) == {alert.key}
    channels.does["email"] = True
    due_again(primary)
    send(primary, channels)
    due_again(primary)
    send(primary, channels)
    assert channels.by == ["webhook", "email"]


def test_where_no_channel_is_set_up_nothing_is_taken_for_sent(primary, alert, caplog):
    """The next process may see channels that this one does not, and finds the alert due at once."""
    assert send(primary, Channels(False, False), alert) == set()
    assert f"ALERT (no channel is set up here) {alert.subject}" in caplog.text
    assert [(row["attempts"], row["delivered"]) for row in deliveries(primary, alert).values()] == [(0, False)] * 2
    caplog.clear()
    assert send(primary, Channels(False, False), alert) == set()
    assert "ALERT" not in caplog.text, "the log has it once"
    channels = Channels(email=False)
    assert send(primary, channels) == {alert.key}
    assert channels.by == ["webhook"]


def test_what_is_stale_is_not_sent(primary, alert):
    send(primary, Channels(OSError("refused"), False), alert)
    with psycopg.connect(primary.primary) as connection:
        connection.execute("update ml.alert_deliveries set expires_at = now(), next_attempt_at = now()")
    assert send(primary, Channels(), alert) == set()


def test_a_late_message_says_when_it_was_found(primary, alert):
    send(primary, Channels(False, False), alert)
    with psycopg.connect(primary.primary) as connection:
        connection.execute("update ml.alerts set created_at = '2026-03-10 02:00+00' where cause = %s", [alert.cause])
    channels = Channels()
    send(primary, channels)
    assert all("Found at 2026-03-10 02:00 UTC" in body for _, _, body in channels.sent) and channels.sent


def test_several_at_once_send_one_message_by_each_channel(primary):
    """Eight processes that report the same and find the same due, several times over."""
    channels = Channels()
    found = [Alert(None, f"storm {number}", "storm", "b") for number in range(5)]
    with ThreadPoolExecutor(8) as pool:
        keys = [key for keys in pool.map(lambda _: send(primary, channels, *found), range(8)) for key in keys]
    assert sorted(keys) == sorted(alert.key for alert in found), "of each alert one process sent it"
    assert sorted(channels.by) == ["email"] * 5 + ["webhook"] * 5


def test_a_delivery_under_way_is_left_alone_and_holds_no_transaction(primary, alert):
    """While the channel takes its time nothing is locked, and who was killed meanwhile has claimed for a while only."""
    seen: dict[str, Any] = {}

    def slow() -> bool:
        with psycopg.connect(primary.primary) as other:
            seen["open"] = other.execute(
                "select count(*) from pg_stat_activity where datname = current_database()"
                " and usename = 'foresight_app' and state like 'idle in transaction%'"
            ).fetchone()[0]
            other.execute("lock table ml.alerts, ml.alert_deliveries in access exclusive mode nowait")
        seen["others"] = send(primary, Channels(), alert)
        seen["lease"] = deliveries(primary, alert)["email"]["wait"]
        return True

    channels = Channels(email=slow)
    assert send(primary, channels, alert) == {alert.key}
    assert seen.pop("lease") > outbox.LEASE - 60
    assert seen == {"open": 0, "others": set()}
    assert sorted(channels.by) == ["email", "webhook"]


def test_what_a_killed_process_has_claimed_is_sent_when_its_lease_ends(primary, alert):
    class Killed(BaseException):
        pass

    def killed() -> bool:
        raise Killed

    with pytest.raises(Killed):
        send(primary, Channels(email=killed, webhook=killed), alert)
    channels = Channels()
    assert send(primary, channels) == set()
    due_again(primary)
    assert send(primary, channels) == {alert.key}
    assert sorted(channels.by) == ["email", "webhook"]


def test_who_outlived_its_lease_undoes_nothing(primary, alert):
    """Its own attempt failed; that of the next was taken, or is under way."""
    channels = Channels(webhook=False)

    def slow() -> bool:
        due_again(primary)
        channels.does["email"] = True
        assert send(primary, channels) == {alert.key}
        raise OSError("too late")

    channels.does["email"] = slow
    send(primary, channels, alert)
    assert channels.by == ["email"]
    assert deliveries(primary, alert)["email"]["delivered"]


def test_new_alerts_come_before_those_that_keep_failing_and_a_pass_ends(primary, alert, monkeypatch):
    old = Alert(None, "old", "old", "b")
    send(primary, Channels(OSError("x"), OSError("x")), old)
    due_again(primary)
    channels = Channels()
    send(primary, channels, alert)
    assert [subject for _, subject, _ in channels.sent] == [alert.subject] * 2 + ["old"] * 2
    monkeypatch.setattr(outbox, "PASS", -1.0)
    assert send(primary, channels, Alert(None, "left over", "s", "b")) == set()


def test_what_waited_for_the_primary_is_sent_when_it_is_back(primary, client_ids):
    slug = f"client_{primary.add_client(next(client_ids))}"

    @contextmanager
    def away() -> Iterator[Databases]:
        yield Databases(lambda conn_id: psycopg.connect("host=127.0.0.1 port=1"))

    lost = [Alert(slug, "run_failed:1", "failed", "b"), Alert(None, "component:scheduler", "dead", "b")]
    with away() as databases:
        outbox.send(databases, lost, Channels(email=False))
        outbox.send(databases, lost, Channels(email=False))
    channels = Channels()
    sent = send(primary, channels)
    assert {alert.key for alert in lost} < sent
    subjects = [(channel, subject) for channel, subject, _ in channels.sent]
    # The message about the primary has gone by the webhook already.
    assert sorted(subjects) == [
        ("email", "Foresight: the primary database cannot be used"),
        ("email", "dead"),
        ("email", "failed"),
        ("webhook", "dead"),
        ("webhook", "failed"),
    ]
    due_again(primary)
    assert send(primary, channels, *lost) == set()


def test_a_text_that_the_server_cannot_hold_keeps_no_other_back(primary, alert):
    odd = Alert(None, "odd\0", "odd \udce9", "\0")
    assert send(primary, Channels(), odd, alert) == {(None, "odd"), alert.key}
    away = Databases(lambda conn_id: psycopg.connect("host=127.0.0.1 port=1"))
    assert outbox.send(away, [Alert(None, "odd in a file", "\udce9", "\0")], Channels())
    assert (None, "odd in a file") in send(primary, Channels())


def test_a_client_sees_neither_deliveries_nor_tasks(primary, client_ids):
    number = primary.add_client(next(client_ids))
    with primary.databases.primary() as session:
        for table in ("alert_deliveries", "fleet_tasks"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), session.as_client(number) as own:
                own.connection.execute(f"select from ml.{table}")
