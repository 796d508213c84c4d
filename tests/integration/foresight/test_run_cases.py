"""Runs that somebody asks for, beside a generated client's nights: what each may change, and what every reader sees."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.core import Metric

from include.foresight import dossier, drift, health, metrics, model_specs, monitoring, nightly, overview
from include.foresight.database import Databases
from include.foresight.errors import ConfigurationError
from tests.support import demo_night, nights
from tests.support.demo_night import Night
from tests.support.installation import Installation

CLIENT = 1
SLUG = demo_night.SLUGS[CLIENT]
MODELS = ("complexity", "rework", "trajectory")
FUTURE = "2099-01-01T00:00:00"


@pytest.fixture(scope="module")
def world(new_pair: Callable[..., contextlib.AbstractContextManager[Installation]]) -> Iterator[Installation]:
    with new_pair() as made:
        demo_night.load(made)
        yield made


@pytest.fixture(scope="module")
def databases(world: Installation) -> Iterator[Databases]:
    with nights.warm(world) as made:
        yield made


@pytest.fixture(scope="module")
def first(world: Installation, databases: Databases) -> Night:
    found = demo_night.live(databases, SLUG, "first")
    assert not found.errors
    return found


TABLES = {
    "champions": "version, model_uuid",
    "promotion_ledger": "version, to_model_uuid",
    "issue_predictions": "issue_id, as_of, prediction_uuid",
    "pull_request_predictions": "pull_request_id, as_of, prediction_uuid",
    "gate_verdicts": "run_id, decision",
    "model_health": "run_id, status",
    "drift": "run_id, name",
    "prediction_log": "prediction_uuid, active",
}


def kept(world: Installation, table: str) -> list[tuple]:
    return world.rows(
        world.primary,
        f"select model, {TABLES[table]} from ml.{table} where client_id = 1 order by model, {TABLES[table]}",
    )


def everything(world: Installation) -> dict[str, list[tuple]]:
    return {table: kept(world, table) for table in TABLES}


def samples(families: list[Metric]) -> dict[tuple, float]:
    """What is told of the models; costs grow with every training."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.labels.get("client") == SLUG and "training" not in sample.name
    }


def seen_before(world: Installation, databases: Databases) -> dict[str, Any]:
    """The same, with something for every reader: after a few nights nothing has drifted yet."""
    with world.superuser() as primary:
        primary.execute("update ml.drift set state = 'steady', effect = 0.1, luck = 0.5")
        primary.execute(
            "insert into ml.anomalies (run_id, client_id, model, kind, entity_id, severity, sentence)"
            " select run_id, client_id, model, 'left_its_range', 4711, 'high', 'it is odd' from ml.model_health"
            " on conflict do nothing"
        )
        primary.execute("update ml.validation_results set passed = false where check_name like '%_labels'")
    found = seen(world, databases)
    for reader in ("drift", "health", "checks", "anomalies", "training"):
        assert all(found[reader][model] for model in MODELS), reader
    assert all(line.status and line.checked_at and line.warming_up is not None for line in found["overview"])
    return found


def seen(world: Installation, databases: Databases) -> dict[str, Any]:
    """What every reader of the last run makes of it."""
    with databases.primary() as primary:
        with primary.as_fleet() as fleet:
            lines = [line for line in overview.read(fleet) if line.slug == SLUG]
        with primary.as_client(CLIENT) as tx:
            client = dossier.find(tx, SLUG)
            pages = {model: dossier.read(tx, client, model) for model in MODELS}
            moved = {model: drift.last(tx, client, model_specs.read(model)) for model in MODELS}
            answered = monitoring.last(tx, CLIENT)
    return {
        "overview": lines,
        "metrics": samples(metrics.of_fleet(databases)),
        "drift": moved,
        "health": {model: page.health for model, page in pages.items()},
        "checks": {model: page.checks for model, page in pages.items()},
        "anomalies": {model: page.anomalies for model, page in pages.items()},
        "training": {model: page.newest for model, page in pages.items()},
        "models": answered,
        "blocked": health.model_troubles(databases),
        "report": reported(world),
    }


def reported(world: Installation) -> list[dict[str, Any]]:
    """As ./foresight report reads it."""
    from launcher.report import STATEMENTS

    return world.dicts(world.primary, (STATEMENTS / "models.sql").read_text(), {"slugs": [SLUG]})


@pytest.mark.parametrize("asked", [{}, {"dry_run": True}], ids=["a run", "a dry run"])
def test_a_moment_of_the_future_is_refused_and_the_next_run_goes_on(
    world: Installation, databases: Databases, first: Night, asked
):
    before = everything(world), world.rows(world.primary, "select count(*) from ml.nightly_runs")
    with pytest.raises(ConfigurationError, match="after the database's clock"):
        demo_night.live(databases, SLUG, f"future {asked}", as_of=FUTURE, **asked)
    assert (everything(world), world.rows(world.primary, "select count(*) from ml.nightly_runs")) == before
    written = demo_night.live(databases, SLUG, f"after {asked}", models=["complexity"], force_retrain=True)
    assert not written.errors and written.found["enrich"]["written"]["complexity"] > 50
    assert all(one["decision"] for one in written.found["gate"].values())


@pytest.mark.parametrize(
    "asked",
    [{"models": ["complexity"], "dry_run": True}, {"dry_run": True}, {"as_of": "2025-12-01T00:00:00"}],
    ids=["a dry run of one model", "a dry run", "a run of the past"],
)
def test_what_could_change_nothing_hides_nothing(world: Installation, databases: Databases, first: Night, asked):
    before = seen_before(world, databases)
    night = demo_night.live(databases, SLUG, f"asked {asked}", **asked)
    assert not night.errors and night.state == "prepared" and night.found["watch"] == {}
    assert seen(world, databases) == before
    kind = "a dry run" if asked.get("dry_run") else "a run of the past"
    assert f"This is {kind}: " in night.found["report"]["summary"]
    trials = last_trials(world)
    assert {row["model"] for row in trials} == set(asked.get("models", MODELS))
    assert all(row["dry_run"] is asked.get("dry_run", False) for row in trials)


def last_trials(world: Installation) -> list[dict[str, Any]]:
    from launcher.report import STATEMENTS

    return world.dicts(world.primary, (STATEMENTS / "trials.sql").read_text(), {"slugs": [SLUG]})


def test_a_run_of_one_model_leaves_what_is_known_of_the_others(world: Installation, databases: Databases, first: Night):
    before = seen_before(world, databases)
    night = demo_night.live(databases, SLUG, "one model", models=["complexity"], force_retrain=True)
    assert not night.errors
    after = seen(world, databases)
    for reader in ("drift", "health", "checks", "anomalies", "training"):
        for model in ("rework", "trajectory"):
            assert after[reader][model] == before[reader][model], (reader, model)
    assert after["health"]["complexity"]["checked_at"] > before["health"]["complexity"]["checked_at"]
    for reader in ("overview", "models", "report"):
        others = [[row for row in found if of(row) != "complexity"] for found in (before[reader], after[reader])]
        assert others[0] == others[1] and len(others[0]) == 2, reader
    assert before["metrics"].keys() == after["metrics"].keys()
    assert last_trials(world) == []


def of(row: Any) -> str:
    return row["model"] if isinstance(row, dict) else row.model


def test_a_run_of_the_past_promotes_nothing_and_overwrites_nothing(
    world: Installation, databases: Databases, first: Night
):
    """As a day that somebody asks for again: three of them, each as of itself."""
    tables = ("champions", "promotion_ledger", "issue_predictions", "pull_request_predictions")
    before = {table: kept(world, table) for table in tables}
    for day in (20, 21, 22):
        as_of = datetime.datetime(2025, 11, day)
        night = demo_night.live(databases, SLUG, f"day {day}", as_of=as_of.isoformat(), models=["rework"])
        assert not night.errors and night.found["prepare"]["as_of"] == as_of.isoformat()
        assert night.found["train"]["rework"]["status"] == "trained"
        after = {table: kept(world, table) for table in tables}
        assert after["champions"] == before["champions"]
        assert after["promotion_ledger"] == before["promotion_ledger"]
        newest = {
            table: max(row[2] for row in rows)
            for table, rows in after.items()
            if table.endswith("_predictions") and rows
        }
        assert all(moment > as_of for moment in newest.values())
        for table in newest:
            assert set(before[table]) <= set(after[table]), "what was newer is there"
    active = world.rows(world.primary, "select distinct active from ml.prediction_log where as_of < '2025-12-01'")
    assert active == [(False,)]


def test_a_whole_run_that_is_cleared_is_repeated(world: Installation, databases: Databases, first: Night):
    """With its moment; its report is new, and nothing is there twice."""
    run = demo_night.live(databases, SLUG, "to be cleared", force_retrain=True)
    assert not run.errors
    query = (
        "select as_of, state, phases, predictions_written, finished_at from ml.nightly_runs where dag_run_id = %(id)s"
    )
    values = {"id": "to be cleared"}
    [before] = world.dicts(world.primary, query, values)
    held = everything(world)
    again = demo_night.live(databases, SLUG, "to be cleared", force_retrain=True)
    assert again.state == "prepared" and not again.errors
    [after] = world.dicts(world.primary, query, values)
    assert after["finished_at"] > before["finished_at"]
    for name in ("as_of", "state", "predictions_written"):
        assert after[name] == before[name], name
    assert after["phases"].keys() == before["phases"].keys()
    for phase in ("validate", "train", "gate", "enrich"):
        assert after["phases"][phase] == before["phases"][phase], phase
    assert everything(world) == held


def test_a_usual_run_that_is_cleared_is_not_compared_with_itself(
    world: Installation, databases: Databases, first: Night
):
    """The first night is the one to be cleared: there is nothing else that it could be compared with."""
    again = demo_night.live(databases, SLUG, "first")
    assert (again.state, again.found["prepare"]["reason"]) == ("prepared", "this run is repeated")
    # Later runs have come through since, so it changes nothing.
    assert again.found["watch"] == {}
    assert nightly.prepare(databases, SLUG, "another", {})["state"] == "unchanged"
