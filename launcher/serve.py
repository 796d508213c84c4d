"""The prediction API alone: uvicorn, beside Airflow or without it."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from launcher import airflow, processes
from launcher.instance import Instance
from launcher.system import CHECKOUT

# Requests are ended after ten seconds; then what is logged has some to be sent.
ENDING_SECONDS = 20.0


def environment(instance: Instance | None) -> dict[str, str]:
    """What the workers need: the two connections and where the journal stands. Without an instance, one's own."""
    variables = dict(os.environ)
    if instance is not None:
        variables |= {
            name: value
            for name, value in airflow.settings(instance).items()
            if name.startswith("AIRFLOW_CONN_FORESIGHT_") or name == "FORESIGHT_REGISTRY_SNAPSHOT"
        }
        variables["FORESIGHT_JOURNAL"] = str(instance.folder / "journal")
    # The app stands in plugins/, the library in include/.
    variables["PYTHONPATH"] = f"{CHECKOUT}:{CHECKOUT / 'plugins'}"
    return variables


def command(host: str, port: int, workers: int) -> list[str]:
    """It says where it serves once the port is its own."""
    return [sys.executable, "-m", "launcher.api_server", host, str(port), str(workers)]


def run(instance: Instance | None, host: str, port: int, workers: int) -> int:
    from include.foresight import settings
    from include.foresight.database import PRIMARY, REPLICA

    if instance is None:
        for conn_id in (PRIMARY, REPLICA):
            settings.conninfo(conn_id)  # else each request would find out what is wrong with it
    with counting(instance) as variables:
        return processes.run_in_front(
            command(host, port, workers), ENDING_SECONDS, env=environment(instance) | variables
        )


@contextlib.contextmanager
def counting(instance: Instance | None) -> Iterator[dict[str, str]]:
    """Where the workers of one server count their requests together, as long as it serves."""
    with tempfile.TemporaryDirectory(prefix="metrics-", dir=instance.folder if instance else None) as folder:
        yield {"PROMETHEUS_MULTIPROC_DIR": folder}
