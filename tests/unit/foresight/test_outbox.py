"""The outbox without a server: channels that fail or are missing, and the files that stand in for the primary."""

from __future__ import annotations

import datetime
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from include.foresight import alerts, outbox
from include.foresight.alerts import Alert
from include.foresight.database import Databases
from include.foresight.outbox import EMAIL, WEBHOOK, Pass, Recipients, Waiting

ALERT = Alert("acme", "cause", "subject", "body")


class Channels:
    """A transport whose channels take the message, are not set up (False) or fail."""

    def __init__(self, email, webhook):
        self.does = {"email": email, "webhook": webhook}
        self.sent = []
        self.asked = []

    def _send(self, channel, *what):
        self.asked.append(channel)
        if isinstance(self.does[channel], Exception):
            raise self.does[channel]
        if self.does[channel]:
            self.sent.append((channel, *what))
        return self.does[channel]

    def email(self, to, subject, body):
        return self._send("email", to, subject)

    def webhook(self, conn_id, payload):
        return self._send("webhook", conn_id, payload["subject"])


def test_a_channel_gets_its_own_recipients():
    channels = Channels(True, True)
    one_pass = Pass(channels)
    for channel in outbox.CHANNELS:
        assert one_pass.attempt(channel, ALERT, Recipients(("a@example.com",), "hook")) == (True, None)
    assert channels.sent == [("email", ("a@example.com",), "subject"), ("webhook", "hook", "subject")]
    assert one_pass.delivered == {ALERT.key}


def test_a_channel_that_fails_and_one_that_is_missing_are_told_apart(caplog):
    one_pass = Pass(Channels(OSError("refused"), False))
    assert one_pass.attempt(EMAIL, ALERT, Recipients()) == (False, "OSError: refused")
    assert one_pass.attempt(WEBHOOK, ALERT, Recipients()) == (False, None)
    assert "refused" in caplog.text
    assert (one_pass.delivered, one_pass.failed) == (set(), {ALERT.key})


def test_what_failed_for_some_recipients_is_not_used_for_them_again_in_this_pass():
    one_pass = Pass(Channels(OSError("hangs"), True))
    one_pass.attempt(EMAIL, ALERT, Recipients())
    one_pass.attempt(WEBHOOK, ALERT, Recipients())
    assert one_pass.usable(outbox.CHANNELS, Recipients()) == [WEBHOOK]
    assert one_pass.usable(outbox.CHANNELS, Recipients(("own@example.com",))) == [EMAIL, WEBHOOK]


def test_the_time_between_attempts_doubles_up_to_half_an_hour():
    waits = [outbox.retry_after(attempts) for attempts in range(1, 200)]
    assert waits[:3] == [30, 60, 120]
    assert waits == sorted(waits) and waits[-1] == outbox.LAST_RETRY


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("FORESIGHT_REGISTRY_SNAPSHOT", str(tmp_path / "clients.json"))
    return tmp_path / "alerts"


@pytest.fixture
def away() -> Databases:
    def connect(conn_id: str):
        raise psycopg.OperationalError("the primary is away")

    return Databases(connect)


def files(folder: Path) -> dict[str, Waiting]:
    """By cause, without its hour."""
    return {waiting.alert.cause.split(":")[0]: waiting for waiting in map(Waiting.read, folder.glob("*.json"))}


def due(folder: Path) -> None:
    """As if the time until the next attempt had passed."""
    for path in folder.glob("*.json"):
        waiting = Waiting.read(path)
        waiting.next_attempt_at = 0
        waiting.write(path)


@pytest.fixture
def one_hour(monkeypatch):
    """The two sides of an hour have a message each."""
    cause = alerts.primary_away(OSError(), "", datetime.datetime.now(datetime.UTC)).cause

    def primary_away(error, seen_by, now):
        return Alert(None, cause, "Foresight: the primary database cannot be used", f"{seen_by} {error}")

    monkeypatch.setattr(outbox, "primary_away", primary_away)


def test_without_the_primary_one_message_says_so_and_the_alerts_are_kept(folder, away, one_hour):
    channels = Channels(True, True)
    for number in range(3):
        outbox.send(away, [Alert("acme", f"cause {number}", "subject", "body")], channels)
    assert channels.sent == [
        ("email", (), "Foresight: the primary database cannot be used"),
        ("webhook", None, "Foresight: the primary database cannot be used"),
    ]
    kept = files(folder)
    assert kept.keys() == {"cause 0", "cause 1", "cause 2", "primary_away"}
    assert kept["primary_away"].channels == [] and kept["cause 1"].channels is None


@pytest.mark.parametrize("refusal", [OSError("refused"), False])
def test_a_message_about_the_primary_that_nobody_took_is_tried_again(folder, away, one_hour, refusal):
    channels = Channels(refusal, refusal)
    assert outbox.send(away, [ALERT], channels) == set()
    assert files(folder)["primary_away"].channels == [EMAIL, WEBHOOK]
    due(folder)
    channels.does["webhook"] = True
    assert {cause.split(":")[0] for _, cause in outbox.send(away, [], channels)} == {"primary_away"}
    assert files(folder)["primary_away"].channels == [EMAIL], "the other channel has still to take it"
    due(folder)
    channels.does["email"] = True
    outbox.send(away, [], channels)
    due(folder)
    outbox.send(away, [ALERT], channels)
    assert [channel for channel, *_ in channels.sent] == ["webhook", "email"]


def test_a_failed_message_about_the_primary_waits_for_its_time(folder, away, one_hour):
    channels = Channels(OSError("refused"), OSError("refused"))
    outbox.send(away, [ALERT], channels)
    outbox.send(away, [ALERT], channels)
    assert channels.asked == ["email", "webhook"]
    waiting = files(folder)["primary_away"]
    assert waiting.attempts == 1 and waiting.next_attempt_at > time.time()


def test_several_at_once_send_one_message_about_the_primary(folder, away, one_hour):
    channels = Channels(True, True)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: outbox.send(away, [Alert(None, f"{number}", "s", "b")], channels), range(8)))
    outbox.send(away, [], channels)
    assert sorted(channel for channel, *_ in channels.sent) == ["email", "webhook"]
    assert len(files(folder)) == 9


def test_nothing_to_report_is_no_message_about_the_primary(folder, away):
    channels = Channels(True, True)
    assert outbox.send(away, [], channels) == set()
    assert channels.asked == []


def test_a_file_that_is_stale_or_no_alert_is_deleted(folder, away, one_hour):
    outbox.send(away, [ALERT], Channels(False, False))
    for path in folder.glob("*.json"):
        waiting = Waiting.read(path)
        waiting.found_at -= outbox.STALE_AFTER + 1
        waiting.write(path)
    (folder / "odd.json").write_text("{")
    channels = Channels(True, True)
    assert outbox.send(away, [], channels) == set()
    assert channels.asked == [] and not list(folder.glob("*.json"))


def test_a_folder_that_cannot_be_written_keeps_no_message_back(tmp_path, monkeypatch, away, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FORESIGHT_REGISTRY_SNAPSHOT", str(tmp_path / "file" / "clients.json"))
    channels = Channels(True, False)
    outbox.send(away, [ALERT], channels)
    assert [channel for channel, *_ in channels.sent] == ["email"]
    assert "cannot be written" in caplog.text
