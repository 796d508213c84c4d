from __future__ import annotations

import datetime

import pytest

from include.foresight import alerts
from include.foresight.alerts import Alert, Recipients, Undelivered

ALERT = Alert("acme", "cause", "subject", "body")
NOW = datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC)


class Channels:
    """A transport whose channels take the message, are not set up (False) or fail."""

    def __init__(self, email, webhook):
        self.does = {"email": email, "webhook": webhook}
        self.sent = []

    def _send(self, channel, *what):
        if isinstance(self.does[channel], Exception):
            raise self.does[channel]
        if self.does[channel]:
            self.sent.append((channel, *what))
        return self.does[channel]

    def email(self, to, subject, body):
        return self._send("email", to, subject)

    def webhook(self, conn_id, payload):
        return self._send("webhook", conn_id, payload["subject"])


def test_every_channel_that_is_set_up_gets_the_message():
    channels = Channels(True, True)
    alerts.deliver(ALERT, Recipients(("a@example.com",), "hook"), channels)
    assert channels.sent == [("email", ("a@example.com",), "subject"), ("webhook", "hook", "subject")]


def test_one_channel_that_fails_does_not_take_the_others_message(caplog):
    channels = Channels(OSError("refused"), True)
    alerts.deliver(ALERT, Recipients(), channels)
    assert [channel for channel, *_ in channels.sent] == ["webhook"]
    assert "refused" in caplog.text


@pytest.mark.parametrize("others", [OSError("also"), False])
def test_a_message_that_nobody_took_is_an_error(others):
    with pytest.raises(Undelivered, match="e-mail"):
        alerts.deliver(ALERT, Recipients(), Channels(OSError("refused"), others))


def test_without_any_channel_the_log_has_it(caplog):
    alerts.deliver(ALERT, Recipients(), Channels(False, False))
    assert "ALERT" in caplog.text and "subject" in caplog.text and "body" in caplog.text


def test_a_failed_nightly_names_client_tasks_and_place():
    alert = alerts.nightly_failed(
        "acme", "run 1", "task_failure", name="Acme", failed_tasks=["train", "report"], attempt=7, link="http://x/y"
    )
    assert alert.subject == "Foresight: the nightly of Acme failed"
    for word in ("run 1", "'acme'", "train, report", "http://x/y"):
        assert word in alert.body
    assert alert.slug == "acme"


def test_a_repetition_of_a_run_is_another_cause_and_two_reports_of_one_are_one():
    def cause(attempt, reason):
        return alerts.nightly_failed("acme", "run 1", reason, attempt=attempt).cause

    assert cause(1, "task_failure") == cause(1, "timed_out")
    assert cause(1, "task_failure") != cause(2, "task_failure")


def test_a_name_cannot_add_a_header_line():
    alert = alerts.nightly_failed("acme", "run", "x", name="Evil\r\nBcc: everybody@example.com")
    assert "\n" not in alert.subject and "\r" not in alert.subject


def test_the_fleets_own_dags_are_told_of_once_a_day():
    first = alerts.fleet_dag_failed("health", "a", "task_failure", NOW.date())
    again = alerts.fleet_dag_failed("health", "b", "timed_out", NOW.date())
    tomorrow = alerts.fleet_dag_failed("health", "c", "x", NOW.date() + datetime.timedelta(days=1))
    assert first.cause == again.cause != tomorrow.cause
    assert first.slug is None


def test_an_import_error_shows_its_end_and_is_another_cause_when_it_changes():
    trace = "\n".join(f"line {number}" for number in range(100))
    alert = alerts.import_failed("dags/x.py", trace, NOW.date())
    assert "line 99" in alert.body and "line 10\n" not in alert.body
    assert alert.cause != alerts.import_failed("dags/x.py", trace + "\nother", NOW.date()).cause


def test_what_slack_shows_is_in_the_payload():
    assert ALERT.payload()["text"] == "subject\nbody"
