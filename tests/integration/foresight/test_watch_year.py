"""A seeded piece of `./foresight bench watch`: nine weeks of three clients, and one trouble of each kind."""

from __future__ import annotations

import json

import pytest

from benchmarks import watch
from tests.support.installation import Installation


@pytest.fixture(scope="module")
def measured(installed: Installation) -> watch.Measured:
    return watch.run(seed=0, plan=watch.QUICK, installed=installed)


def test_what_moved_was_found_and_nothing_else_was_called_so(measured: watch.Measured):
    assert measured.values["detection_rate"] == 1, measured
    assert measured.values["false_alarm_rate"] <= 0.05, measured


def test_a_training_was_asked_for_where_harm_was_done_alone(measured: watch.Measured):
    assert measured.values["needless_retrains_per_client_year"] == 0, measured
    assert "where it was: 1, " in measured.details["needless_retrains_per_client_year"]


def test_every_trouble_was_told_once(measured: watch.Measured):
    assert (measured.values["alerts_missed"], measured.values["alerts_double"]) == (0, 0), measured
    assert 0 < measured.values["time_to_alert_s"] < 10


def test_the_line_has_the_issues_keys(measured: watch.Measured):
    assert list(json.loads(watch.as_json(measured))) == [
        "detection_rate",
        "false_alarm_rate",
        "needless_retrains_per_client_year",
        "time_to_alert_s",
        "alerts_missed",
        "alerts_double",
    ]
    assert watch.table(measured).row_count == 6
