"""Whole nights of clients whose data are not as they should be: each ends, says what is wrong, loses nothing."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest

from include.foresight.database import Databases
from include.foresight.errors import DataBlocked
from tests.support import demo_night, nights
from tests.support.demo_night import Night
from tests.support.installation import Installation
from tests.support.nights import AS_OF, Desk, ago

NAME = """O'Brien "the \\ Ёж" & Сыновья; drop table x --"""


@pytest.fixture
def client(installed: Installation, client_ids: Iterator[int]) -> int:
    return installed.add_client(next(client_ids), name=f"{NAME} {next(client_ids)}", clock="data")


def night(installed: Installation, databases: Databases, client: int) -> Night:
    installed.catch_up()
    return demo_night.live(databases, f"client_{client}", "the night")


def issues(desk: Desk, count: int, **other: Any) -> list[dict[str, Any]]:
    """Estimated stories, three a day, up to a day before AS_OF."""
    return [
        desk.issue(
            **{
                "created": ago(1 + (count - at) / 3),
                "last_updated_at": AS_OF,
                "story_points": 1 + at % 5,
                "summary": f"Do thing {at} for the customers",
            }
            | other
        )
        for at in range(count)
    ]


def pulls(desk: Desk, count: int, **other: Any) -> list[dict[str, Any]]:
    return [
        desk.pull_request(
            **{
                "number": at + 1,
                "pr_created_at": ago(2 + (count - at) / 3),
                "merged_at": ago(1.5 + (count - at) / 3),
                "last_updated_at": AS_OF,
                "status": "merged",
                "review_cycles": 1,
                "rework_commit_count": 0,
            }
            | other
        )
        for at in range(count)
    ]


def statuses(installed: Installation, found: Night) -> dict[str, str]:
    return {model: row["status"] for model, row in demo_night.trainings(installed, found).items()}


def test_a_client_without_a_row(installed: Installation, databases: Databases, client: int):
    found = night(installed, databases, client)
    assert not found.errors
    rows = demo_night.trainings(installed, found)
    assert {row["status"] for row in rows.values()} == {"too_little_data"}
    assert rows["rework"]["reason"].startswith("0 rows to learn from and 0 later ones to judge on")
    assert found.found["enrich"]["written"] == {"complexity": 0, "rework": 0, "trajectory": 0}
    assert NAME in found.found["report"]["summary"] and "no_rows" in found.found["report"]["summary"]


def test_a_client_with_one_row(installed: Installation, databases: Databases, client: int):
    desk = nights.desk(installed, client)
    open_one = desk.issue(updated=AS_OF, last_updated_at=AS_OF)
    [estimated, asked] = desk.insert("issues", [*issues(desk, 1, updated=None), open_one])
    found = night(installed, databases, client)
    assert not found.errors and set(statuses(installed, found).values()) == {"too_little_data"}
    # One label is known, of 1 point: it answers for the one that is asked for, drawn to the prior's 3 by 0.95 labels.
    rows = installed.dicts(installed.primary, f"select * from ml.issue_predictions where client_id = {client}")
    [(issue, value, rung)] = [(row["issue_id"], row["value"], row["rung"]) for row in rows]
    assert (issue, rung) == (asked, "recent")
    assert value == pytest.approx(2 ** (1 / 1.95) * 4 ** (0.95 / 1.95) - 1)
    assert estimated != asked


def test_columns_without_a_value(installed: Installation, databases: Databases, client: int):
    desk = nights.desk(installed, client)
    empty = dict.fromkeys(("key", "summary", "created", "story_points", "issuetype_id", "status_id", "project_id"))
    desk.insert("issues", [desk.issue(last_updated_at=AS_OF) | empty for _ in range(30)])
    blank = dict.fromkeys(("number", "name", "user_name", "pr_created_at", "status", "additions", "changed_files"))
    desk.insert("pull_requests", [desk.pull_request(last_updated_at=AS_OF) | blank for _ in range(30)])
    found = night(installed, databases, client)
    assert not found.errors and set(statuses(installed, found).values()) == {"too_little_data"}
    assert found.found["validate"]["quarantined"] >= 60


def test_a_constant_label_blocks_its_model_alone(installed: Installation, databases: Databases, client: int):
    desk = nights.desk(installed, client)
    desk.insert("issues", issues(desk, 220, story_points=3))
    desk.insert(
        "pull_requests", [row | {"review_cycles": 1 + 3 * (row["number"] % 3 == 0)} for row in pulls(desk, 240)]
    )
    found = night(installed, databases, client)
    assert not found.errors
    rows = demo_night.trainings(installed, found)
    assert (rows["complexity"]["status"], rows["rework"]["status"]) == ("blocked", "trained")
    assert "complexity_labels" in rows["complexity"]["reason"] and NAME in rows["complexity"]["reason"]


def test_a_class_that_is_missing(installed: Installation, databases: Databases, client: int):
    desk = nights.desk(installed, client)
    desk.insert("pull_requests", pulls(desk, 240))
    found = night(installed, databases, client)
    assert statuses(installed, found)["rework"] == "blocked"
    assert "0 of 239 merged pull requests needed rework" in demo_night.trainings(installed, found)["rework"]["reason"]


def test_a_class_that_is_only_in_the_later_rows(installed: Installation, databases: Databases, client: int):
    """It cannot be learned: every rung says so, the others go on, and the simple rung answers."""
    desk = nights.desk(installed, client)
    desk.insert("pull_requests", [row | {"review_cycles": 9 * (row["number"] > 230)} for row in pulls(desk, 240)])
    desk.insert("issues", issues(desk, 220))
    found = night(installed, databases, client)
    rows = demo_night.trainings(installed, found)
    assert (rows["rework"]["status"], rows["complexity"]["status"]) == ("failed", "trained")
    reason = rows["rework"]["reason"]  # in the engine's own words
    assert reason.startswith("no rung could be trained: boosted: ") and "linear: " in reason
    assert f"client_{client}" in str(found.errors["train"])
    assert found.found["gate"]["rework"]["served_by"] == "recent"
    assert found.found["report"]["state"] == "failed" and "Failed: train" in found.found["report"]["summary"]


def test_absurd_dates_are_set_aside(installed: Installation, databases: Databases, client: int):
    desk = nights.desk(installed, client)
    good = issues(desk, 220)
    absurd = [
        datetime.datetime(1, 1, 1),
        datetime.datetime(1970, 1, 1),
        datetime.datetime(9999, 12, 31, 23, 59, 59),
    ]
    desk.insert("issues", good + [row | {"created": at} for row, at in zip(issues(desk, 3), absurd, strict=True)])
    found = night(installed, databases, client)
    assert not found.errors and statuses(installed, found)["complexity"] == "trained"
    assert found.found["prepare"]["as_of"] <= AS_OF.isoformat()
    removed = demo_night.trainings(installed, found)["complexity"]["rows_removed"]
    assert sum(removed.values()) == 3, removed


def test_every_model_blocked_fails_the_validation(installed, databases, client, monkeypatch):
    """Another client's rows in sight: nothing of this client is trained, and what served before goes on."""
    desk = nights.desk(installed, client)
    desk.insert("issues", issues(desk, 30))
    other = next(iter(installed.rows(installed.primary, "select max(client_id) from ml.clients")))[0]
    with installed.on_replica() as replica:
        replica.execute("alter table public.issues disable row level security")
    try:
        found = night(installed, databases, client)
    finally:
        with installed.on_replica() as replica:
            replica.execute("alter table public.issues enable row level security")
    assert isinstance(found.errors["validate"], DataBlocked)
    assert f"client 'client_{client}'" in str(found.errors["validate"]) and "foreign_rows" in str(
        found.errors["validate"]
    )
    assert set(statuses(installed, found).values()) == {"blocked"} and other
    assert found.found["report"]["state"] == "failed"
