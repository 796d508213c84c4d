"""The prediction API alone: uvicorn, beside Airflow or without it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from launcher import airflow
from launcher.instance import Instance
from launcher.system import CHECKOUT


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
    return [
        sys.executable,
        "-m",
        "uvicorn",
        "foresight_api.alone:create",
        "--factory",
        "--host",
        host,
        "--port",
        str(port),
        "--workers",
        str(workers),
        "--no-server-header",
        "--log-level",
        "warning",
    ]


def run(instance: Instance | None, host: str, port: int, workers: int) -> int:
    if instance is None:
        for conn_id in (PRIMARY, REPLICA):
            settings.conninfo(conn_id)  # else each request would find out what is wrong with it
    with counting(instance) as variables:
        serving = subprocess.run(command(host, port, workers), env=environment(instance) | variables, check=False)
    return serving.returncode


@contextlib.contextmanager
def counting(instance: Instance | None) -> Iterator[dict[str, str]]:
    """Where the workers of one server count their requests together, as long as it serves."""
    with tempfile.TemporaryDirectory(prefix="metrics-", dir=instance.folder if instance else None) as folder:
        yield {"PROMETHEUS_MULTIPROC_DIR": folder}
