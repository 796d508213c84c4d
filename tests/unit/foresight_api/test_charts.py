"""Charts as data: a client's first ones have one point."""

from __future__ import annotations

import dataclasses
import datetime

import pytest

from foresight_api.pages import charts
from include.foresight import model_specs
from include.foresight.clients import Client
from include.foresight.dossier import Dossier, Night
from include.foresight.track_record import Outcome, Told

FIRST = datetime.datetime(2025, 3, 4, 1, 30)


def night(as_of: datetime.datetime) -> Night:
    return Night(as_of, "promote", True, 200, 1.2, 1.6, 1.2, True, [], {}, None, None)


def dossier(*moments: datetime.datetime) -> Dossier:
    empty = dict.fromkeys(field.name for field in dataclasses.fields(Dossier))
    return Dossier(
        **empty
        | {
            "client": Client(1, "acme", "Acme"),
            "spec": model_specs.read("complexity"),
            "nights": [night(moment) for moment in moments],
            "promotions": [{"version": 1, "moment": FIRST, "to_rung": "boosted"}],
        }
    )


def outcomes(start: datetime.datetime) -> list[Outcome]:
    told = [Told(number, start + datetime.timedelta(hours=number), 3.0, 4.0, {}) for number in range(20)]
    return [Outcome(one, 5.0, one.as_of + datetime.timedelta(days=1)) for one in told]


def first_charts() -> list[charts.Chart]:
    begun = datetime.datetime(2025, 3, 1)
    return [
        charts.error_over_time(dossier(FIRST)),
        charts.in_service(dossier(FIRST), charts.Record(20, outcomes(begun))),
    ]


@pytest.mark.parametrize("chart", first_charts(), ids=lambda chart: chart.name)
def test_of_one_moment_model_and_baseline_are_points_and_the_mark_hides_neither(chart: charts.Chart):
    served, simple, mark = chart.traces
    for trace in (served, simple):
        assert len(trace["x"]) == 1 and "markers" in trace["mode"] and trace["marker"]["size"] >= 8
    assert served["y"] != simple["y"]
    assert mark["marker"]["symbol"].endswith("-open")


@pytest.mark.parametrize("chart", first_charts(), ids=lambda chart: chart.name)
def test_the_axis_of_one_moment_has_days_or_months_and_every_point_in_it(chart: charts.Chart):
    axis = chart.layout["xaxis"]
    low, high = (datetime.datetime.fromisoformat(end) for end in axis["range"])
    assert axis["dtick"] == (86_400_000 if chart.name == "errors" else "M1")
    for trace in chart.traces:
        assert all(low < datetime.datetime.fromisoformat(moment) < high for moment in trace["x"])


def test_several_moments_are_lines_with_an_axis_of_their_own():
    chart = charts.error_over_time(dossier(FIRST, FIRST + datetime.timedelta(days=30)))
    assert [trace["mode"] for trace in chart.traces] == ["lines+markers", "lines", "markers"]
    assert "range" not in chart.layout["xaxis"]
