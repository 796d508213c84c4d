"""One client attacks another, through SQL and through the API; each layer and policy is taken away to see it missed."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from foresight_api.app import create_app
from foresight_api.service import Service
from include.foresight.database import PRIMARY, REPLICA
from tests.support import hostile, hostile_mutants, hostile_world
from tests.support.hostile import Findings
from tests.support.hostile_mutants import database_mutants, layer_mutants
from tests.support.hostile_world import World
from tests.support.installation import Installation

SEED = 5


@pytest.fixture(scope="module", params=[pytest.param("ours", marks=pytest.mark.own_engine), "postgresml"])
def world(
    request: pytest.FixtureRequest,
    new_pair: Callable[..., contextlib.AbstractContextManager[Installation]],
    new_postgresml: Callable[[], contextlib.AbstractContextManager[Installation]],
) -> Iterator[World]:
    """On our own engine policies keep models apart, on PostgresML the gateway does."""
    with (new_pair if request.param == "ours" else new_postgresml)() as installed:
        installed.install()
        made = hostile_world.make(installed, SEED)
        yield made
        hostile_world.remove_logins(made)


@pytest.fixture(scope="module")
def api(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple]:
    folder: Path = tmp_path_factory.mktemp("journal")
    app = create_app(lambda: Service.start(world.installed.app, folder), prefixes=("/api/ml",))
    caller = TestClient(app, raise_server_exceptions=False)

    def ask(method: str, path: str, key: str | None, extra: dict | None = None, **request):
        headers = ({"Authorization": f"Bearer {key}"} if key else {}) | (extra or {})
        return caller.request(method, path, headers=headers, **request)

    yield app, ask
    if app.state.service.service:
        app.state.service.service.stop()


@pytest.mark.parametrize("side", [PRIMARY, REPLICA])
def test_sql_of_a_client_finds_nothing_of_another(world: World, side: str):
    found = Findings()
    for attacker in world.tenants[:2]:
        hostile.sql_attacks(world, found, attacker, side)
    assert (found.leaks, found.calls > 100) == ([], True)


def test_the_api_tells_nothing_of_another(world: World, api: tuple):
    app, ask = api
    found = Findings()
    for attacker in world.tenants[:2]:
        hostile.api_attacks(world, found, ask, hostile.routes_of(app), attacker, random.Random(SEED))
    assert found.leaks == [] and len(found.shapes) >= 40


def test_logs_and_sessions_of_the_pool_tell_nothing_of_another(world: World, api: tuple):
    app, ask = api
    found = Findings()
    ask("GET", "/api/ml/models", world.keys[world.tenants[0].client_id])
    for attacker in world.tenants[:2]:
        hostile.log_attacks(world, found, ask, attacker, hostile.routes_of(app))
    hostile.pool_attacks(world, found, app.state.service.service.predictor.databases, rounds=1)
    assert found.leaks == []


def test_a_log_that_names_another_is_heard(world: World, api: tuple):
    _, ask = api
    found = Findings()

    def careless(*given, **how):
        logging.getLogger("include.foresight").info("asked beside %s", world.tenants[1].slug)
        return ask(*given, **how)

    hostile.log_attacks(world, found, careless, world.tenants[0], [("GET", "/api/ml/models")])
    assert len(found.leaks) == 1


def test_the_attacks_that_are_answered_are_answered_with_a_models_words(world: World, api: tuple):
    """Without this a world in which nothing works would have no leaks either."""
    _, ask = api
    for tenant in world.tenants[:2]:
        key = world.keys[tenant.client_id]
        answer = ask("POST", "/api/ml/estimate-complexity", key, json={"issue_keys": list(hostile_world.SHARED)}).json()
        assert {one["rung"] for one in answer["estimates"]} == {"linear"}, answer
        assert all(tenant.word in one["summary"] for one in answer["estimates"])


def test_a_sample_of_mutants_is_found(world: World, api: tuple):
    """Each is found by the attacks on what it opens; the benchmark takes them all."""
    mutants = database_mutants(world)
    of_gateway = list(hostile_mutants.of_gateway(world))
    chosen = [*random.Random(SEED).sample(mutants, 12), *of_gateway]
    assert [one.name for one in chosen if not one.found(world)] == []
    assert len(of_gateway) == (0 if world.shares else 8)
    found = Findings()
    hostile.sql_attacks(world, found, world.tenants[0], REPLICA, only={"ml.clients", "public.issues", "pgml.models"})
    assert found.leaks == []


def test_each_layer_is_missed(world: World, api: tuple):
    app, ask = api
    assert [name for name, seen in layer_mutants(world, app, ask) if not seen] == []
