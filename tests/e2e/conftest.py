"""One installation for all tests of this folder: they are one module, so one worker runs them, in their order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import night_shift
from tests.e2e.night_shift import BROKEN, NEWCOMER, SLUGS, Night, System


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with night_shift.running() as made:
        yield made


@pytest.fixture(scope="module")
def first_night(system: System) -> tuple[str, Night]:
    """Everybody's first night. While it runs, the registry changes: it takes its time until that is seen."""
    run_id = system.trigger(*SLUGS)
    system.register(NEWCOMER)
    system.register(BROKEN, schedule="61 25 * * *")
    return run_id, system.follow(run_id, *SLUGS)
