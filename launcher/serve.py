"""The prediction API alone: uvicorn, beside Airflow or without it."""

from __future__ import annotations

import os
import subprocess
import sys

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
    return subprocess.run(command(host, port, workers), env=environment(instance), check=False).returncode
