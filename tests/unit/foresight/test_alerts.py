from __future__ import annotations

import datetime

from include.foresight import alerts
from include.foresight.alerts import Alert

ALERT = Alert("acme", "cause", "subject", "body")
NOW = datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC)


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


def test_the_fleets_own_dags_give_one_alert_a_day_for_each_kind_of_failure():
    def cause(run, errors, days=0):
        day = NOW.date() + datetime.timedelta(days=days)
        return alerts.fleet_dag_failed("health", run, "task_failure", day, errors=errors).cause

    first = cause("a", {"models": "UnknownClient: x"})
    assert cause("b", {"models": "UnknownClient: y"}) == first
    others = [
        cause("b", {"models": "KeyError"}),
        cause("b", {"runs": "UnknownClient: x"}),
        cause("b", {}),
        cause("b", {"models": "UnknownClient: x"}, days=1),
    ]
    assert len({first, *others}) == 5


def test_a_failure_of_a_fleet_dag_says_which_task_failed_of_what():
    alert = alerts.fleet_dag_failed(
        "rollback", "r", "task_failure", "r", errors={"rollback": "UnknownClient: there is no 'x'"}, link="http://x/y"
    )
    assert alert.slug is None
    assert "rollback: UnknownClient: there is no 'x'" in alert.body and "http://x/y" in alert.body
    assert "today" not in alert.body, "the next rollback is another request"


def test_an_import_error_shows_its_end_and_is_another_cause_when_it_changes():
    trace = "\n".join(f"line {number}" for number in range(100))
    alert = alerts.import_failed("dags/x.py", trace, NOW.date())
    assert "line 99" in alert.body and "line 10\n" not in alert.body
    assert alert.cause != alerts.import_failed("dags/x.py", trace + "\nother", NOW.date()).cause


def test_what_slack_shows_is_in_the_payload():
    assert ALERT.payload()["text"] == "subject\nbody"
