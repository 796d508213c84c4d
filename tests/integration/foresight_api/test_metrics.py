"""What Prometheus is told: the caller's clients, what was counted, and what is known without the primary."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from foresight_api.app import create_app
from foresight_api.service import Service
from include.foresight import metrics
from include.foresight.database import PRIMARY
from tests.support import demo_night
from tests.support.callers import CLIENT, OTHER, ROOT, key, keys
from tests.support.installation import Installation

MINE, THEIRS = demo_night.SLUGS[CLIENT], demo_night.SLUGS[OTHER]


def caller(app: FastAPI, held: str) -> TestClient:
    return TestClient(app, headers={"Authorization": f"Bearer {held}"})


def read(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def scraped(by: TestClient) -> dict[str, Metric]:
    answer = by.get(f"{ROOT}/metrics")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain; version=")
    return read(answer.text)


def clients(families: dict[str, Metric]) -> set[str]:
    return {one.labels["client"] for family in families.values() for one in family.samples if "client" in one.labels}


def counted(families: dict[str, Metric], name: str, **labels: str) -> float:
    wanted = labels.items()
    return sum(
        one.value for one in families[name].samples if one.name.endswith("_count") and wanted <= one.labels.items()
    )


def test_a_caller_reads_of_his_clients_only(world: Installation, app: FastAPI):
    mine, both = caller(app, key(world, CLIENT)), caller(app, key(world, CLIENT, OTHER, any_of=True))
    theirs = caller(app, key(world, OTHER))
    for by in (mine, theirs):
        assert by.post(f"{ROOT}/estimate-complexity", json={"issue_keys": ["NOT-1"]}).status_code == 200
    assert clients(scraped(mine)) == {MINE} and clients(scraped(theirs)) == {THEIRS}
    assert clients(scraped(both)) == {MINE, THEIRS}
    assert TestClient(app).get(f"{ROOT}/metrics").status_code == 401


def test_requests_are_counted_by_how_they_ended(world: Installation, app: FastAPI):
    mine = caller(app, key(world, CLIENT))
    before = scraped(mine)
    asked = {"issue_keys": keys(world, CLIENT)}
    for _ in range(3):
        assert mine.post(f"{ROOT}/estimate-complexity", json=asked).status_code == 200
    without = caller(app, key(world, 3))
    assert without.post(f"{ROOT}/estimate-complexity", json={"issue_keys": keys(world, 3)}).status_code == 409
    after = scraped(mine)
    answered = {"client": MINE, "model": "complexity", "status": "200"}
    name = "foresight_request_seconds"
    assert counted(after, name, **answered) - counted(before, name, **answered) == 3
    refused = {"client": demo_night.SLUGS[3], "status": "409"}
    assert counted(scraped(without), name, **refused) >= 1
    families = [before["foresight_entities"], after["foresight_entities"]]
    about = [sum(one.value for one in family.samples if one.name.endswith("_total")) for family in families]
    assert about[1] - about[0] == 3 * len(asked["issue_keys"])


def test_the_models_are_as_the_database_has_them(world: Installation, app: FastAPI):
    found = scraped(caller(app, key(world, CLIENT)))
    states = world.rows(
        world.primary,
        "select distinct on (model) model, status from ml.model_health where client_id = 1"
        " order by model, checked_at desc",
    )
    said = {
        (one.labels["model"], one.labels["foresight_model_status"])
        for one in found["foresight_model_status"].samples
        if one.value
    }
    assert said == set(states) and len(states) == 3
    serving = {one.labels["model"]: one.value for one in found["foresight_model_serving"].samples}
    rungs = dict(world.rows(world.primary, "select model, rung from ml.champions where client_id = 1"))
    assert serving == {model: float(rung in ("boosted", "linear")) for model, rung in rungs.items()}
    errors = {(one.labels["model"], one.labels["of"]) for one in found["foresight_model_error"].samples}
    assert {("complexity", "served"), ("complexity", "simple")} <= errors
    [spent] = world.rows(world.primary, "select sum(cpu_seconds) from ml.training_runs where client_id = 1")[0]
    told = sum(one.value for one in found["foresight_training_processor_seconds"].samples)
    assert abs(told - spent) < 1e-6


def test_without_the_primary_what_was_counted_is_told(world: Installation, places: dict[str, str], tmp_path: Path):
    away = places | {PRIMARY: "host=127.0.0.1 port=1 connect_timeout=1"}
    app = create_app(lambda: Service.start(away.__getitem__, tmp_path), prefixes=(ROOT,))
    try:
        mine = caller(app, key(world, CLIENT))
        asked = keys(world, CLIENT)
        assert mine.post(f"{ROOT}/estimate-complexity", json={"issue_keys": asked}).status_code == 200
        found = scraped(mine)
        assert [one.value for one in found["foresight_primary_up"].samples] == [0]
        assert [one.value for one in found["foresight_journal_rows"].samples] == [len(asked)]
        assert found["foresight_request_seconds"].samples
    finally:
        app.state.service.service.stop()


def test_the_fleet_and_its_slots(world: Installation):
    found = read(metrics.text(metrics.of_fleet(world.databases)).decode())
    assert clients(found) == set(demo_night.SLUGS.values())
    assert [one.value for one in found["foresight_slot_active"].samples] == [1]
    assert found["foresight_slot_kept_bytes"].samples[0].value > 0
