"""The platform empties its tables, and loads them again in another order: every id is another entity's."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from include.foresight import (
    anomalies,
    business,
    clients,
    drift,
    enrichment,
    features,
    model_specs,
    track_record,
    validation,
)
from include.foresight.database import PRIMARY, REPLICA, Databases
from include.foresight.runs import Run
from include.foresight.serving import Asked, Predictor
from tests.support import nights
from tests.support.installation import Installation
from tests.support.nights import AS_OF, Bench, Desk, ago

COMPLEXITY, REWORK, TRAJECTORY = map(model_specs.read, ("complexity", "rework", "trajectory"))
SPECS = [COMPLEXITY, REWORK, TRAJECTORY]
DAY = datetime.timedelta(days=1)
NUMBERS = range(1, 7)

ISSUES = "select key, ml_estimated_story_points as value from ml.issues_enriched where client_id = %(client_id)s"
EPICS = "select key, ml_predicted_lead_time_seconds as value from ml.issues_enriched where client_id = %(client_id)s"
PULLS = (
    "select r.full_name || '#' || e.number as key, ml_rework_probability as value from ml.pull_requests_enriched as e"
    " join public.repositories as r on r.id = e.repository_id where e.client_id = %(client_id)s"
)
RELOADED = ("issues", "pull_requests", "repositories")


@dataclass
class World:
    """Estimated issues, open ones and epics; two repositories with pull requests of the same numbers."""

    bench: Bench
    desk: Desk
    repositories: list[int]

    @property
    def installed(self) -> Installation:
        return self.bench.installed

    def enrich(self, run: Run) -> dict[str, int]:
        return {one.model: one.written for one in enrichment.enrich(self.bench.databases, run, SPECS)}

    def shown(self, query: str) -> dict[str, float]:
        """What stands beside the platform's rows, by the names that people know."""
        with psycopg.connect(self.installed.app(PRIMARY)) as connection:
            connection.execute("set local role foresight_reader")
            found = connection.execute(query, {"client_id": self.bench.client_id}).fetchall()
        return {key: value for key, value in found if value is not None}

    def reload(self) -> None:
        """All rows once more, with ids from 1 on, the last issue and the last repository first."""
        with psycopg.connect(self.installed.platform) as connection:
            kept = {}
            for table in RELOADED:
                columns = [
                    name
                    for (name,) in connection.execute(
                        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0"
                        " and not attisdropped and attname <> 'id'",
                        [f"public.{table}"],
                    )
                ]
                query = sql.SQL("select id, {} from {} order by {}").format(
                    sql.SQL(", ").join(map(sql.Identifier, columns)),
                    sql.Identifier("public", table),
                    sql.SQL("repository_id desc, number" if table == "pull_requests" else "id desc"),
                )
                kept[table] = (columns, connection.execute(query).fetchall())
            connection.execute("truncate issues, pull_requests, repositories, issue_changelogs restart identity")
            repositories: dict[int, int] = {}
            for table in reversed(RELOADED):
                columns, rows = kept[table]
                query = sql.SQL("insert into {} ({}) values ({}) returning id").format(
                    sql.Identifier("public", table),
                    sql.SQL(", ").join(map(sql.Identifier, columns)),
                    sql.SQL(", ").join(sql.Placeholder() * len(columns)),
                )
                for old, *row in rows:
                    values = dict(zip(columns, row, strict=True))
                    if table == "pull_requests":
                        values["repository_id"] = repositories[values["repository_id"]]
                    (new,) = connection.execute(query, list(values.values())).fetchone()
                    if table == "repositories":
                        repositories[old] = new
        self.installed.catch_up()


@pytest.fixture
def world(installed: Installation, databases, client_ids: Iterator[int]) -> World:
    with psycopg.connect(installed.platform) as connection:
        connection.execute("truncate issues, pull_requests, repositories, issue_changelogs restart identity")
    bench = nights.bench(installed, databases, next(client_ids))
    desk = nights.desk(installed, bench.client_id)
    repositories = [
        desk.repository,
        *installed.insert("repositories", {"name": "s", "full_name": "k/s", "client_id": bench.client_id}),
    ]
    desk.insert("issues", [desk.issue(story_points=5, created=ago(100 - n), status="Done") for n in range(30)])
    desk.insert("issues", [desk.issue(created=ago(10 - n)) for n in range(4)])
    desk.insert("issues", [desk.issue(type="Epic", created=ago(10 + n)) for n in range(3)])
    # Of every repository the same numbers: after a reload id, repository's id and number may all be another's.
    for place, repository in enumerate(repositories):
        desk.insert(
            "pull_requests",
            [desk.pull_request(number=n, repository_id=repository, user_name=f"author {place}") for n in NUMBERS],
        )
    for spec in SPECS:
        replace(bench, spec=spec).serve(None)
    installed.catch_up()
    return World(bench, desk, repositories)


def distinct_values(world: World) -> None:
    """Every prediction of another value, so that it is seen beside which entity one stands."""
    with psycopg.connect(world.installed.primary) as connection:
        for table, column in (("issue_predictions", "issue_id"), ("pull_request_predictions", "pull_request_id")):
            connection.execute(
                f"update ml.{table} set value = {column} / 1000.0 where client_id = %s",  # type: ignore[arg-type]
                [world.bench.client_id],
            )


def test_no_prediction_stands_beside_another_entity(world: World):
    assert world.enrich(world.bench.night()) == {"complexity": 4, "rework": 12, "trajectory": 3}
    distinct_values(world)
    before = {query: world.shown(query) for query in (ISSUES, EPICS, PULLS)}
    assert [len(one) for one in before.values()] == [4, 3, 12]
    world.reload()
    for query, right in before.items():
        assert world.shown(query).items() <= right.items()
    # Here every id has the number and the repository's id that it had.
    assert world.shown(PULLS) == {}

    later = world.bench.night(AS_OF + DAY)
    results = {one.check_name: one for one in validation.validate(world.bench.databases, later, [])}
    found = results["renumbered_entities"]
    assert (found.severity, found.passed) == ("warn", False)
    assert found.observed == "19 of 19 predicted ids are of another key than when they were predicted"
    assert world.enrich(later) == {"complexity": 4, "rework": 12, "trajectory": 3}
    assert [len(world.shown(query)) for query in (ISSUES, EPICS, PULLS)] == [4, 3, 12]
    # Nothing is left of those before, for whoever reads the tables themselves.
    for table, count in (("issue_predictions", 7), ("pull_request_predictions", 12)):
        assert world.bench.rows("count(*), min(as_of)", table) == [(count, later.as_of)]
    results = {one.check_name: one for one in validation.validate(world.bench.databases, later, [])}
    assert results["renumbered_entities"].passed
    assert results["renumbered_entities"].observed.startswith("0 of 19 ")


def test_a_few_renamed_keys_are_no_finding_and_show_nothing_wrong(world: World):
    """An issue that moves to another project keeps its id: its prediction comes back with the next night."""
    world.enrich(world.bench.night())
    moved = min(world.shown(ISSUES))
    with psycopg.connect(world.installed.platform) as connection:
        connection.execute("update issues set key = 'MOVED-1' where key = %s", [moved])
    world.installed.catch_up()
    assert world.shown(ISSUES).keys() & {moved, "MOVED-1"} == set()
    later = world.bench.night(AS_OF + DAY)
    results = {one.check_name: one for one in validation.validate(world.bench.databases, later, [])}
    assert results["renumbered_entities"].passed
    world.enrich(later)
    assert "MOVED-1" in world.shown(ISSUES) and len(world.shown(ISSUES)) == 4


def test_a_prediction_whose_key_is_not_known_is_taken_by_its_id(world: World):
    world.enrich(world.bench.night())
    before = {query: world.shown(query) for query in (ISSUES, EPICS, PULLS)}
    with psycopg.connect(world.installed.primary) as connection:
        for table in ("issue_predictions", "pull_request_predictions"):
            connection.execute(f"update ml.{table} set key = null")  # type: ignore[arg-type]
    assert {query: world.shown(query) for query in before} == before


def test_every_logged_prediction_has_its_key(world: World):
    run = world.bench.night()
    world.enrich(run)
    logged = world.bench.rows("model, entity_id, entity_key", "prediction_log")
    keys = dict(world.installed.rows(world.installed.primary, "select id, key from public.issues"))
    pulls = {
        row[0]: row[1]
        for row in world.installed.rows(
            world.installed.primary,
            "select p.id, r.full_name || '#' || p.number from public.pull_requests as p"
            " join public.repositories as r on r.id = p.repository_id",
        )
    }
    assert len(logged) == 19
    for model, entity_id, key in logged:
        assert key == (pulls if model == "rework" else keys)[entity_id]


# --- What came of predictions


def tell(world: World, model: str, rows: list[tuple[int, str | None]], as_of: datetime.datetime, **other: Any) -> Run:
    """A night's predictions in the log."""
    run = world.bench.night(as_of, state="success")
    for entity_id, key in rows:
        row = {
            "prediction_uuid": uuid4(),
            "client_id": world.bench.client_id,
            "model": model,
            "model_name": model,
            "rung": "boosted",
            "entity": "pull_request" if model == "rework" else "issue",
            "entity_id": entity_id,
            "entity_key": key,
            "prediction_value": 3.0,
            "input_features": Jsonb({"simple": 3.0, "size": 1.0}),
            "feature_hash": "f",
            "response_time_ms": 1,
            "source": "nightly",
            "run_id": run.run_id,
            "as_of": as_of,
        }
        nights.insert(world.installed.primary, "prediction_log", row | other)
    return run


@dataclass
class Told:
    """Two entities of every kind that came to something after they were predicted: one by its key, one by another's."""

    right: dict[str, tuple[int, str]]
    wrong: dict[str, tuple[int, str]]


@pytest.fixture
def told(world: World) -> Told:
    desk = world.desk
    issues = desk.insert("issues", [desk.issue(key=f"P-{n}", story_points=8, created=ago(40)) for n in (1, 2)])
    epics = desk.insert(
        "issues",
        [
            desk.issue(key=f"E-{n}", type="Epic", status="Done", created=ago(40), work_last_completed_at=ago(5))
            for n in (1, 2)
        ],
    )
    pulls = desk.insert(
        "pull_requests",
        [
            desk.pull_request(
                number=n, pr_created_at=ago(40), merged_at=ago(20), review_cycles=5, rework_commit_count=0
            )
            for n in (101, 102)
        ],
    )
    world.installed.catch_up()
    right = {"complexity": (issues[0], "P-1"), "trajectory": (epics[0], "E-1"), "rework": (pulls[0], "k/r#101")}
    wrong = {"complexity": (issues[1], "P-7"), "trajectory": (epics[1], "E-7"), "rework": (pulls[1], "k/s#102")}
    for model in right:
        tell(world, model, [right[model], wrong[model]], ago(30))
    return Told(right, wrong)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.model)
def test_outcomes_are_those_of_what_was_predicted(world: World, told: Told, spec):
    client = client_of(world)
    with world.bench.databases.primary() as primary, primary.as_client(client.client_id) as tx:
        answers = track_record.told(tx, client, spec)
    assert {(one.entity_id, one.entity_key) for one in answers} == {told.right[spec.model], told.wrong[spec.model]}
    with world.bench.databases.session(REPLICA) as replica, replica.as_client(client.client_id) as tx:
        found = track_record.outcomes(tx, client, spec, answers)
    assert [(one.told.entity_id, one.told.entity_key) for one in found] == [told.right[spec.model]]


def test_the_business_figures_count_what_was_predicted(world: World, told: Told):
    found = {one.model: one.rows for one in business.read(world.bench.databases, world.bench.slug, AS_OF)}
    assert found == {"trajectory": 1, "complexity": 1, "rework": 1}


def test_an_id_that_was_anothers_has_a_first_answer_of_its_own(world: World):
    """For drift, and for outcomes."""
    client = client_of(world)
    tell(world, "complexity", [(77, "K-1"), (78, "K-2")], ago(20), prediction_value=1.0)
    tell(world, "complexity", [(77, "K-1"), (78, "K-9")], ago(10), prediction_value=2.0)
    with world.bench.databases.primary() as primary, primary.as_client(client.client_id) as tx:
        answers = track_record.told(tx, client, COMPLEXITY)
        shifts = {one.name: one for one in drift.look(tx, client, COMPLEXITY)}
    assert {(one.entity_id, one.entity_key): one.value for one in answers} == {
        (77, "K-1"): 1.0,
        (78, "K-2"): 1.0,
        (78, "K-9"): 2.0,
    }
    assert shifts["prediction"].rows_recent == 3


def test_an_answer_is_unusual_beside_an_earlier_one_of_the_same_entity_alone(world: World):
    around = {"ranges": Jsonb({"low_80": 2.0, "high_80": 4.0})}
    tell(world, "complexity", [(77, "K-1"), (78, "K-2")], ago(20), **around)
    run = tell(world, "complexity", [(77, "K-1"), (78, "K-9")], ago(10), prediction_value=9.0, **around)
    with world.bench.databases.primary() as primary, primary.as_client(world.bench.client_id) as tx:
        [found] = anomalies.look(tx, run.values, COMPLEXITY)
        anomalies.record(tx, run.values, "complexity", [found])
    assert (found.entity_id, found.entity_key) == (77, "K-1")
    assert found.sentence.startswith("issue K-1 is answered with 9.00 points")
    assert world.bench.rows("entity_id, entity_key", "anomalies") == [(77, "K-1")]


def test_the_leak_probe_compares_an_entity_with_itself_alone(world: World):
    run = tell(world, "complexity", [(77, "K-1"), (78, "K-2"), (79, None)], ago(20))
    world.bench.trained(run, None)
    [here, other] = world.desk.insert("issues", [world.desk.issue(key="K-3"), world.desk.issue(key="K-4")])
    world.installed.catch_up()
    values = run.values | {"model": "complexity", "feature_hash": "f", "nights": 3}
    values |= {"spec_digest": world.bench.spec.digest}
    values |= {"entity_ids": [77, 78, 79], "entity_keys": ["K-1", "K-9", "K-3"], "as_of": AS_OF}
    with world.bench.databases.primary() as primary, primary.as_client(world.bench.client_id) as tx:
        assert {row["entity_id"] for row in tx.all("leaks/logged", values)} == {77, 79}
    aside = run.values | {"entity": "issue", "entity_ids": [here, other], "entity_keys": ["K-3", "K-9"]}
    with world.bench.databases.session(REPLICA) as replica, replica.as_client(world.bench.client_id) as tx:
        tx.run("leaks/set_aside", aside, source=features.SOURCES["issue"])
        found = tx.connection.execute("select entity_id from quarantine where check_name = 'leak_probe'").fetchall()
        assert found == [(here,)]


# --- On request


def test_a_row_that_is_replaced_while_it_is_asked_about_is_not_answered_for_another(world: World):
    """Looked up by its key, scored by its id: between the two the platform has loaded its rows anew."""
    keys = open_keys(world)
    sessions = itertools.count()

    class Reloading(Databases):
        def session(self, conn_id: str):
            if conn_id == REPLICA and next(sessions) == 1:
                world.reload()
            return super().session(conn_id)

    logged: list[Any] = []
    predictor = Predictor(Reloading(world.installed.databases.connect), logged.extend)
    predictor.anticipates = False
    found = predictor.predict(client_of(world), "complexity", Asked(keys=keys))
    assert {one.excluded for one in found.answers if one.value is None} == {
        "its row was replaced while it was asked about: ask again"
    }
    assert logged == [] and found.unknown == ()
    found = predictor.predict(client_of(world), "complexity", Asked(keys=keys))
    assert {one.entity["key"] for one in found.answers if one.value is not None} == set(keys)
    assert {row["entity_key"] for row in logged} == set(keys)


def open_keys(world: World) -> tuple[str, ...]:
    query = "select key from public.issues where story_points is null and issuetype_id = %(story)s"
    found = world.installed.rows(world.installed.primary, query, {"story": world.desk.types["Story"]})
    return tuple(key for (key,) in found)


def test_what_is_known_last_is_the_newest_of_that_key(world: World):
    """While the replica is away."""
    world.enrich(world.bench.night())
    [key, *_] = world.shown(ISSUES)
    [pull, *_] = world.shown(PULLS)
    stale = """
        insert into ml.{table} (client_id, model, {id}, key, prediction_uuid, value, grade, rung, as_of)
        select client_id, model, {id} + 100000, key, prediction_uuid, 99, grade, rung, as_of - interval '1 day'
        from ml.{table}
        where key = %s
    """
    with psycopg.connect(world.installed.primary) as connection:
        for entity, of in (("issue", key), ("pull_request", pull)):
            holes = {"table": sql.Identifier(f"{entity}_predictions"), "id": sql.Identifier(f"{entity}_id")}
            connection.execute(sql.SQL(stale).format(**holes), [of])

    def away(conn_id: str) -> psycopg.Connection:
        if conn_id == REPLICA:
            raise psycopg.OperationalError("the replica is away")
        return world.installed.databases.connect(conn_id)

    predictor = Predictor(Databases(away), lambda rows: None)
    repository, number = pull.split("#")
    for model, asked in (
        ("complexity", Asked(keys=(key,))),
        ("rework", Asked(repository=repository, numbers=(int(number),))),
    ):
        found = predictor.predict(client_of(world), model, asked)
        assert found.last_known
        [answer] = found.answers
        assert answer.value != 99


def client_of(world: World) -> clients.Client:
    with world.bench.databases.primary() as primary, primary.as_fleet() as fleet:
        return clients.read(fleet, world.bench.slug)
