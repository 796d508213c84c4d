"""What most of these tests begin with: a client of their own, and nights on the module's databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.foresight.database import Databases
from tests.support import nights
from tests.support.installation import Installation
from tests.support.nights import Bench, Model


@pytest.fixture(scope="module")
def databases(installed: Installation) -> Iterator[Databases]:
    """With one session on the replica for all, as a night has it: libraries are loaded once."""
    with nights.warm(installed) as made:
        yield made


@pytest.fixture
def bench(installed: Installation, databases: Databases, client_ids: Iterator[int]) -> Bench:
    """A new client without rows."""
    return nights.bench(installed, databases, next(client_ids))


@pytest.fixture(scope="module")
def built(installed: Installation, databases: Databases, client_ids: Iterator[int]) -> Bench:
    """One client for the whole module, with its training table."""
    made = nights.bench(installed, databases, next(client_ids))
    made.build()
    return made


@pytest.fixture(scope="module")
def models(built: Bench) -> dict[str, Model]:
    """Of three nights, for a run trains a model once."""
    return {name: built.fit(name, built.night(state="success")) for name in ("good", "fair", "poor")}
