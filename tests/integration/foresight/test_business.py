"""What the predictions would have changed: on issues, epics and pull requests whose story is known."""

from __future__ import annotations

import datetime
from typing import Any
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb

from include.foresight import business
from tests.support import nights
from tests.support.installation import Installation
from tests.support.nights import AS_OF, Bench, Desk, ago

DAY = 86400.0


@pytest.fixture(scope="module")
def bench(installed: Installation, client_ids) -> Bench:
    return nights.bench(installed, installed.databases, next(client_ids))


@pytest.fixture(scope="module")
def desk(bench: Bench) -> Desk:
    return nights.desk(bench.installed, bench.client_id)


def tell(bench: Bench, model: str, entity_id: int, value: float, as_of: datetime.datetime, **other: Any) -> None:
    """A prediction in the log."""
    simple = other.pop("simple", value)
    nights.insert(
        bench.installed.primary,
        "prediction_log",
        {
            "prediction_uuid": uuid4(),
            "client_id": bench.client_id,
            "model": model,
            "model_name": model,
            "rung": "boosted",
            "entity": "pull_request" if model == "rework" else "issue",
            "entity_id": entity_id,
            "prediction_value": value,
            "input_features": Jsonb({"simple": simple}),
            "feature_hash": "f",
            "response_time_ms": 1,
            "source": "nightly",
            "as_of": as_of,
        }
        | other,
    )


def findings(bench: Bench, as_of: datetime.datetime | None = AS_OF) -> dict[str, business.Finding]:
    bench.installed.catch_up()
    return {one.model: one for one in business.read(bench.databases, bench.slug, as_of)}


def test_a_client_without_predictions_has_no_figures_yet(installed: Installation, client_ids):
    new = nights.bench(installed, installed.databases, next(client_ids))
    found = findings(new, None)
    assert list(found) == ["trajectory", "complexity", "rework"]
    assert all((one.value, one.rows) == (None, 0) and one.formula for one in found.values())
    assert new.slug in business.clients_of(new.databases)


def test_epics_are_late_when_they_are_not_done_by_their_date(bench: Bench, desk: Desk):
    epic = {"type": "Epic", "created": ago(100)}
    in_time, late, open_late, open_yet, not_told = desk.insert(
        "issues",
        [
            desk.issue(**epic, work_last_completed_at=ago(60)),
            desk.issue(**epic, work_last_completed_at=ago(40)),
            desk.issue(**epic),
            desk.issue(**epic),
            desk.issue(**epic, work_last_completed_at=ago(60)),
        ],
    )
    for one, days in ((in_time, 30), (late, 30), (open_late, 30), (open_yet, 200)):
        tell(bench, "trajectory", one, days * DAY, ago(80))
        tell(bench, "trajectory", one, 1 * DAY, ago(70))  # only the first counts
    tell(bench, "trajectory", not_told, DAY, ago(50))  # when it was done already
    found = findings(bench)["trajectory"]
    assert (found.part, found.rows, found.value) == (2, 3, pytest.approx(2 / 3))
    # As of a moment when only the first was done.
    found = findings(bench, ago(55))["trajectory"]
    assert (found.part, found.rows) == (0, 1)


def test_issues_are_missized_by_the_clients_own_steps(bench: Bench, desk: Desk):
    ids = desk.insert("issues", [desk.issue(story_points=points) for points in (1, 2, 3, 5, 8) for _ in range(6)])
    told = {  # by the points that were given: estimate, the simple rung's
        1: (1.4, 3.0),  # the same step; two steps
        2: (3.1, 3.0),  # one step; one step
        3: (8.0, 3.0),  # two steps; none
        5: (1.0, 3.0),  # three steps; one
        8: (7.0, 3.0),  # none; two
    }
    for place, (points, (value, simple)) in enumerate(told.items()):
        tell(bench, "complexity", ids[6 * place], value, ago(10), simple=simple)
        assert points == (1, 2, 3, 5, 8)[place]
    found = findings(bench)["complexity"]
    assert (found.part, found.rows) == (2, 5)
    assert (found.value, found.simple) == (pytest.approx(0.4), pytest.approx(0.4))
    assert "(1, 2, 3, 5, 8)" in found.formula
    assert findings(bench, ago(11))["complexity"].rows == 0


def test_rework_is_caught_where_the_risk_was_seen(bench: Bench, desk: Desk):
    """Twenty merged, four of them reworked: the riskiest two hold one, those of the simple rung share."""
    merged = {"pr_created_at": ago(20), "merged_at": ago(5)}
    bad = [desk.pull_request(**merged, review_cycles=4) for _ in range(4)]
    good = [desk.pull_request(**merged, review_cycles=1) for _ in range(16)]
    ids = desk.insert("pull_requests", bad + good)
    for place, one in enumerate(ids):
        risk = {0: 0.9, 1: 0.3, 2: 0.2, 3: 0.1, 4: 0.8}.get(place, 0.15)
        tell(bench, "rework", one, risk, ago(10), simple=0.5 if place < 8 else 0.1)
    found = findings(bench)["rework"]
    assert (found.part, found.rows, found.value) == (1, 4, 0.25)
    # The simple rung cannot tell eight apart, four of them bad: room for two of the eight catches one in the mean.
    assert found.simple == pytest.approx(0.25)
    assert "riskiest tenth of 20" in found.formula
    assert findings(bench, ago(6))["rework"].rows == 0


def test_what_came_later_changes_no_earlier_figure(bench: Bench, desk: Desk):
    before = findings(bench)
    epic = desk.insert("issues", [desk.issue(type="Epic", created=ago(30))])[0]
    tell(bench, "trajectory", epic, DAY, AS_OF + datetime.timedelta(days=1))
    tell(bench, "trajectory", epic, DAY, ago(3), source="api")
    assert findings(bench) == before
    later = findings(bench, AS_OF + datetime.timedelta(days=3))["trajectory"]
    assert (later.part, later.rows) == (before["trajectory"].part + 1, before["trajectory"].rows + 1)


def test_another_clients_rows_do_not_count(bench: Bench, client_ids):
    other = nights.bench(bench.installed, bench.databases, next(client_ids))
    assert all(one.rows == 0 for one in findings(other).values())
