"""The platform's jobs with predictions: rows get theirs, and every row comes out whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from include.foresight.client import Predictions
from include.foresight.enhanced_jobs import GitHubPredictions, JiraPredictions


class Job:
    """As the platform's: it makes a row of each record."""

    def __init__(self, client_id: int, config: Mapping[str, Any]) -> None:
        self.client_id, self.config = client_id, config

    async def process_pull_request_batch(self, batch: list[dict]) -> list[SimpleNamespace]:
        return [SimpleNamespace(**record) for record in batch]

    process_issue_batch = process_pull_request_batch


class Service:
    """Stands where the client stands; keeps what it was asked."""

    def __init__(self, available: bool = True, fails: bool = False) -> None:
        self.available, self.fails, self.asked = available, fails, []

    async def is_available(self) -> bool:
        return self.available

    async def predict_rework_risk(self, numbers: list[int], *, repository: str) -> Predictions:
        self.asked.append((repository, numbers))
        if self.fails:
            raise RuntimeError("a fault")
        return Predictions({number: {"rework_probability": number / 10, "risk_level": "low"} for number in numbers})

    async def estimate_complexity(self, keys: list[str]) -> Predictions:
        self.asked.append(keys)
        if self.fails:
            raise RuntimeError("a fault")
        return Predictions({"A-1": {"estimated_story_points": 3.0, "estimation_confidence": "high"}}, unknown=("A-2",))


def job(kind: type, service: Service, *, enabled: bool = True) -> Any:
    made = type("Enhanced", (kind, Job), {"make_ml_client": lambda self: service})
    return made(1, {"ml_predictions_enabled": enabled})


PULLS = [
    {"number": 1, "state": "open", "repository": "a/b"},
    {"number": 2, "state": "merged", "repository": "a/b"},
    {"number": 1, "state": "Open", "repository": SimpleNamespace(full_name="a/c")},
    {"number": 3, "status": "open", "repository": "a/b"},
]
ISSUES = [
    {"key": "A-1", "story_points": None, "issuetype_name": "Story"},
    {"key": "A-2", "story_points": 0, "issuetype_name": "Story"},
    {"key": "A-3", "story_points": 5, "issuetype_name": "Story"},
    {"key": "A-4", "story_points": None, "issuetype_name": "Bug"},
]


def test_open_pull_requests_get_their_risk():
    service = Service()
    rows = asyncio.run(job(GitHubPredictions, service).process_pull_request_batch(PULLS))
    assert service.asked == [("a/b", [1, 3]), ("a/c", [1])]
    assert [getattr(row, "ml_rework_probability", None) for row in rows] == [0.1, None, 0.1, 0.3]
    assert [getattr(row, "ml_risk_level", None) for row in rows] == ["low", None, "low", "low"]


def test_stories_without_points_get_some():
    service = Service()
    rows = asyncio.run(job(JiraPredictions, service).process_issue_batch(ISSUES))
    assert service.asked == [["A-1", "A-2"]]
    assert [getattr(row, "ml_estimated_story_points", None) for row in rows] == [3.0, None, None, None]
    assert rows[0].ml_estimation_confidence == "high" and rows[2].story_points == 5


@pytest.mark.parametrize(
    ("service", "enabled"), [(Service(available=False), True), (Service(), False), (Service(fails=True), True)]
)
def test_rows_come_out_whatever_happens(service: Service, enabled: bool):
    for kind, method, batch in (
        (GitHubPredictions, "process_pull_request_batch", PULLS),
        (JiraPredictions, "process_issue_batch", ISSUES),
    ):
        rows = asyncio.run(getattr(job(kind, service, enabled=enabled), method)(batch))
        assert [vars(row) for row in rows] == batch
    assert bool(service.asked) is service.fails


def test_a_row_of_another_shape_costs_the_batch_nothing():
    rows = asyncio.run(job(GitHubPredictions, Service()).process_pull_request_batch([*PULLS, {"state": "open"}]))
    assert len(rows) == 5


def test_the_jobs_own_errors_are_its_own():
    class Failing(Job):
        async def process_issue_batch(self, batch: list[dict]) -> list:
            raise ValueError("the job's")

    made = type("Enhanced", (JiraPredictions, Failing), {"make_ml_client": lambda self: Service()})
    with pytest.raises(ValueError, match="the job's"):
        asyncio.run(made(1, {"ml_predictions_enabled": True}).process_issue_batch(ISSUES))


def test_unless_told_otherwise_nothing_is_asked():
    made = type("Enhanced", (GitHubPredictions, Job), {})(1, {})
    assert not made.ml_enabled and not asyncio.run(made.ml_client.is_available())
