"""What holds for every test, and the option that has the tests run against somebody else's pgml."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# pytest-xdist gives its workers a width; a test run in one process has none.
os.environ.pop("COLUMNS", None)

# The first call of a function may import a library for half a second: that is no fault of the function's.
settings.register_profile("foresight", deadline=None)
settings.load_profile("foresight")

# Folders whose tests are about our own engine, or about servers of the launcher's own.
OWN_ENGINE = Path(__file__).parent / "integration" / "pgml_engine"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--pgml-dsn",
        metavar="DSN",
        help="a superuser's connection to a server of its own with pgml (PostgresML or ours): the ML replica of the "
        "integration tests, instead of one that they start. Databases are made and dropped there, roles stay.",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "own_engine: needs our own pgml; skipped with --pgml-dsn")
    if config.getoption("--pgml-dsn") and hasattr(config, "workerinput"):
        raise pytest.UsageError(
            "--pgml-dsn: one server serves one worker, roles belong to a whole server; leave -n out"
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--pgml-dsn"):
        return
    reason = pytest.mark.skip(reason="about our own engine, and --pgml-dsn names a server that may have another")
    for item in items:
        if OWN_ENGINE in item.path.parents or item.get_closest_marker("own_engine"):
            item.add_marker(reason)
