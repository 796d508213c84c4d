"""What is asked of a run, and how a repeated task finds its run again."""

from __future__ import annotations

import datetime
import json
from typing import Any
from uuid import UUID

import pytest

from include.foresight import model_specs, runs
from include.foresight.clients import Client
from include.foresight.errors import ConfigurationError, UnknownModel
from include.foresight.runs import Request, Run, moment, run_id_of

ACME = Client(1, "acme", "Acme")
SUMMER = datetime.datetime(2024, 5, 31, 12, 30)


def test_nothing_asked_is_the_usual_night():
    assert Request.of({}) == Request()
    assert Request.of({}).usual
    assert Request.of({"models": None, "as_of": None, "dry_run": False}).usual
    assert Request.of({"models": []}).models is None


@pytest.mark.parametrize(
    "stated", [{"models": ["complexity"]}, {"force_retrain": True}, {"dry_run": True}, {"as_of": "2024-05-31"}]
)
def test_whatever_is_asked_is_not_usual(stated: dict[str, Any]):
    assert not Request.of(stated).usual


def test_who_triggered_it_does_not_make_it_unusual():
    assert Request.of({"trigger": "manual"}).usual
    assert Request.of({"trigger": "manual"}).trigger == "manual"
    assert Request.of({}).trigger == "scheduled"


def test_an_unknown_model_is_refused_before_anything_begins():
    with pytest.raises(UnknownModel, match="there is no model 'velocity'"):
        Request.of({"models": ["complexity", "velocity"]})


def test_a_request_comes_back_from_the_runs_row():
    asked = Request(("rework",), force_retrain=True, dry_run=True, as_of=SUMMER, trigger="manual")
    assert Request.of(json.loads(json.dumps(asked.stated()))) == asked
    assert Request.of(json.loads(json.dumps(Request().stated()))) == Request()


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, None),
        ("", None),
        ("2024-05-31", datetime.datetime(2024, 5, 31)),
        ("2024-05-31T12:30:00", SUMMER),
        ("2024-05-31T12:30:00Z", SUMMER),
        ("2024-05-31T14:30:00+02:00", SUMMER),
        (SUMMER, SUMMER),
        (SUMMER.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-3))), SUMMER + datetime.timedelta(hours=3)),
    ],
)
def test_moments_are_utc_without_a_zone(value: Any, found: datetime.datetime | None):
    assert moment(value) == found


def test_another_text_is_refused_with_itself_and_an_example():
    with pytest.raises(ConfigurationError, match="as_of must be a moment like 2024-05-31T00:00:00, got 'yesterday'"):
        moment("yesterday")


def test_every_try_of_a_dag_run_is_the_same_run():
    assert run_id_of(ACME, "scheduled__1") == run_id_of(Client(1, "renamed", "Renamed"), "scheduled__1")
    others = {run_id_of(ACME, "scheduled__2"), run_id_of(Client(2, "acme", "Acme"), "scheduled__1")}
    assert run_id_of(ACME, "scheduled__1") not in others and len(others) == 2
    # Rows of earlier nights are found by it: it never changes.
    assert run_id_of(ACME, "scheduled__1") == UUID("f63dc06c-04f0-587c-b6af-ffd2b3ac89e6")
    assert runs.NAMESPACE == UUID("5b0c1f6e-0f53-4f0e-9a53-6f72657369c3")


def test_a_runs_specs_are_the_asked_ones_with_the_clients_settings():
    client = Client(1, "acme", "Acme", overrides={"rework": {"bounds": {"auc": 0.7}}})
    everything = Run(run_id_of(client, "a"), client, SUMMER, Request(), "prepared")
    assert [spec.model for spec in everything.specs] == list(model_specs.names())
    (one,) = Run(everything.run_id, client, SUMMER, Request(("rework",)), "prepared").specs
    assert one.bounds == {"auc": 0.7}
    assert everything.values == {"run_id": everything.run_id, "client_id": 1, "as_of": SUMMER}
