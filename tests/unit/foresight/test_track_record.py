"""What answers have come to: errors by period, as the gate measures them."""

from __future__ import annotations

import datetime

import pytest

from include.foresight import model_specs, track_record
from include.foresight.track_record import Outcome, Told


def outcome(day: int, value: float, label: float, simple: float | None = 1.0) -> Outcome:
    moment = datetime.datetime(2026, 1, 1) + datetime.timedelta(days=day)
    return Outcome(Told(day, moment, value, simple, {}), label)


def test_a_month_has_an_error_of_its_own():
    rows = [outcome(day, 3, 2) for day in range(31)] + [outcome(31 + day, 5, 2) for day in range(28)]
    found = track_record.periods(model_specs.read("complexity"), rows)
    assert [(one.start.month, one.rows, one.served, one.simple) for one in found] == [(1, 31, 1, 1), (2, 28, 3, 1)]


def test_a_month_with_too_few_outcomes_is_joined_to_the_next():
    few = track_record.LEAST - 1
    rows = [outcome(day, 3, 2) for day in range(few)] + [outcome(40 + day, 3, 2) for day in range(few)]
    [one] = track_record.periods(model_specs.read("complexity"), rows)
    assert (one.start.month, one.rows) == (1, 2 * few)
    assert track_record.periods(model_specs.read("complexity"), rows[:few]) == []


def test_an_order_needs_both_classes():
    spec = model_specs.read("rework")
    good = [outcome(day % 28, 0.2, 0) for day in range(40)]
    assert [one.served for one in track_record.periods(spec, good)] == [None]
    bad = [outcome(31 + day % 20, 0.9, 1) for day in range(40)]
    [one] = track_record.periods(spec, sorted(good + bad, key=lambda row: row.told.as_of))
    assert (one.rows, one.served, one.simple) == (80, 0, 0.5)


def test_without_the_simple_rungs_answer_there_is_no_comparison():
    rows = [outcome(day, 3, 2, None) for day in range(20)]
    [one] = track_record.periods(model_specs.read("complexity"), rows)
    assert one.served == 1 and one.simple is None


def test_bins_hold_as_many_each():
    rows = [outcome(place, place / 80, float(place >= 40)) for place in range(80)]
    found = track_record.calibration(rows, bins=4)
    assert [one.rows for one in found] == [20] * 4
    assert [one.true for one in found] == [0, 0, 1, 1]
    assert found[0].given == pytest.approx(sum(range(20)) / 80 / 20)
    assert track_record.calibration(rows[:5]) == []
