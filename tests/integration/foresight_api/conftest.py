"""Two clients with a night behind them and a third without, for every test of the prediction API."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI

from foresight_api.app import create_app
from foresight_api.service import Service
from include.foresight import pgml
from include.foresight.database import PRIMARY, REPLICA, Transaction
from tests.support import demo_night, nights
from tests.support.callers import CLIENT, OTHER, ROOT
from tests.support.installation import Installation


@pytest.fixture(scope="package")
def world(new_pair: Callable[..., contextlib.AbstractContextManager[Installation]]) -> Iterator[Installation]:
    with new_pair() as made:
        demo_night.load(made)
        with nights.warm(made) as databases:
            for client in (CLIENT, OTHER):
                assert not demo_night.live(databases, demo_night.SLUGS[client], "the night").errors
        made.catch_up()
        yield made


@pytest.fixture(scope="package")
def explains(world: Installation) -> bool:
    """Whether the engine can say why it answers as it does: ours can, PostgresML cannot."""
    with world.on_replica() as replica:
        return pgml.is_ours(pgml.version(Transaction(replica)))


@pytest.fixture(scope="package")
def places(world: Installation) -> dict[str, str]:
    return {PRIMARY: world.app(PRIMARY), REPLICA: world.app(REPLICA)}


@pytest.fixture(scope="module")
def app(places: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    folder = tmp_path_factory.mktemp("journal")
    made = create_app(lambda: Service.start(places.__getitem__, folder), prefixes=(ROOT,))
    yield made
    if made.state.service.service:
        made.state.service.service.stop()
