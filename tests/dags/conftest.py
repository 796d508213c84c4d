"""The bundle as the DAG processor loads it, with a snapshot of three clients, one of which makes no DAG."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.support import airflow_home

from airflow.dag_processing.dagbag import BundleDagBag  # isort: skip

from include.foresight import registry
from include.foresight.registry import Entry

CLIENTS = [
    Entry("acme", 1, "Acme"),
    Entry("broken", 2, "O'Brien «Братья»", schedule="61 25 * * *"),
    Entry("tokyo", 3, "Tōkyō", schedule="30 2 * * *", time_zone="Asia/Tokyo", replica_conn_id="foresight_replica_2"),
]


@pytest.fixture(autouse=True)
def snapshot():
    registry.write(airflow_home.SNAPSHOT, CLIENTS)
    return airflow_home.SNAPSHOT


@pytest.fixture
def load() -> Callable[[], BundleDagBag]:
    def loaded() -> BundleDagBag:
        return BundleDagBag(
            dag_folder=str(airflow_home.ROOT),
            bundle_path=airflow_home.ROOT,
            bundle_name="foresight",
            load_op_links=False,
        )

    return loaded


@pytest.fixture
def bag(load) -> BundleDagBag:
    return load()


@pytest.fixture
def in_a_new_process() -> Callable[[str], str]:
    """Runs Python code with the settings of a component of Airflow; what it printed last."""

    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": str(airflow_home.ROOT)},
            cwd=airflow_home.HOME,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]

    return run


@pytest.fixture(scope="session")
def metadata_database() -> None:
    from airflow.utils import db

    db.initdb()
