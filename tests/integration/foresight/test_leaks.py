"""Features that know the answer, under names that mean nothing, in nights of a generated client."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import psycopg
import pytest

from benchmarks.leaks import planted
from include.foresight import nightly
from include.foresight.database import Databases
from tests.support import demo_night, nights
from tests.support.installation import Installation

SLUG = demo_night.SLUGS[2]


@pytest.fixture(scope="module")
def world(new_pair: Callable[..., contextlib.AbstractContextManager[Installation]]) -> Iterator[Installation]:
    with new_pair() as made:
        demo_night.load(made)
        yield made


@pytest.fixture(scope="module")
def databases(world: Installation) -> Iterator[Databases]:
    with nights.warm(world) as made:
        yield made


def train(databases: Databases, name: str) -> dict[str, dict]:
    nightly.prepare(databases, SLUG, name, {"force_retrain": True})
    nightly.validate(databases, SLUG, name)
    return nightly.train(databases, SLUG, name)


def accused(world: Installation, name: str, model: str) -> list[tuple[str, str]]:
    row = demo_night.trainings(world, demo_night.Night(SLUG, name))[model]
    return [(leak["feature"], leak["kind"]) for leak in row["metrics"]["leaks"]]


def test_what_tells_all_and_is_not_there_yet_blocks_its_model_alone(world: Installation, databases: Databases):
    columns = {
        # The label itself, for a row that has one; and when it was merged.
        "complexity": {"x": "coalesce(now_.story_points, 0) * 7"},
        "rework": {"x": "coalesce(extract(epoch from now_.merged_at - now_.created)::float8, -1)"},
        "trajectory": {"x": "extract(epoch from asked.as_of - now_.created)::float8"},
    }
    with planted(columns):
        found = train(databases, "three leaks")
    assert {model: one["status"] for model, one in found.items()} == dict.fromkeys(columns, "blocked")
    assert accused(world, "three leaks", "complexity") == [("x", "power")]
    assert accused(world, "three leaks", "trajectory") == [("x", "moment")]
    assert found["complexity"]["reason"].startswith("features know what was not known at their moment")
    assert "x alone puts" in found["complexity"]["reason"] and "is another in 2 of 2" in found["trajectory"]["reason"]
    decided = nightly.gate(databases, SLUG, "three leaks")
    assert {one["served_by"] for one in decided.values()} == {"recent"}


def test_what_has_grown_since_an_earlier_night_blocks_its_model(world: Installation, databases: Databases):
    columns = {"complexity": {"x": "coalesce(now_.comment_count, 0)"}}
    with planted(columns):
        night = demo_night.live(databases, SLUG, "before")
        trained = demo_night.trainings(world, night)["complexity"]
        # Nobody can tell on the first night.
        assert trained["status"] == "trained" and trained["metrics"]["leaks"] == []
        with psycopg.connect(world.platform) as platform:
            asked = world.rows(
                world.primary,
                "select array_agg(entity_id) from ml.prediction_log where model = 'complexity' and client_id = 2",
            )[0][0]
            assert len(asked) > 20
            platform.execute(
                "update issues set story_points = 1 + id %% 5, comment_count = coalesce(comment_count, 0) + id %% 5,"
                " created = created - interval '1 minute', last_updated_at = last_updated_at + interval '1 second'"
                " where id = any(%s)",
                [asked],
            )
            # A day later, by the client's own clock.
            platform.execute(
                "insert into issues (client_id, key, summary, created, last_updated_at)"
                " values (2, 'LATE-1', 'The next day', %(day)s, %(day)s)",
                {"day": demo_night.END.replace(day=demo_night.END.day + 1)},
            )
        world.catch_up()
        found = train(databases, "after")
    assert found["complexity"]["status"] == "blocked"
    assert accused(world, "after", "complexity") == [("x", "changed")]
    assert "x has changed since an earlier night in" in found["complexity"]["reason"]
    # The others have not changed.
    assert {found[model]["status"] for model in ("rework", "trajectory")} == {"trained"}


def test_nothing_is_accused_without_a_leak(world: Installation, databases: Databases):
    found = train(databases, "clean")
    assert {one["status"] for one in found.values()} == {"trained"}
    assert all(accused(world, "clean", model) == [] for model in found)
