"""What the environment says, read when it is asked for and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

SNAPSHOT_VARIABLE = "FORESIGHT_REGISTRY_SNAPSHOT"


def registry_snapshot() -> Path:
    """The registry as a file, which the DAG processor reads instead of asking the database."""
    named = os.environ.get(SNAPSHOT_VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "foresight" / "clients.json"
