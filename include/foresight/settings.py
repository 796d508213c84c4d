"""What the environment says, read when it is asked for and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

from include.foresight import connections
from include.foresight.errors import ConfigurationError

SNAPSHOT_VARIABLE = "FORESIGHT_REGISTRY_SNAPSHOT"


def registry_snapshot() -> Path:
    """The registry as a file, which the DAG processor reads instead of asking the database."""
    named = os.environ.get(SNAPSHOT_VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "foresight" / "clients.json"


def journal_folder() -> Path:
    """Where the processes of the prediction API keep what is not on the primary yet."""
    return Path(os.environ.get("FORESIGHT_JOURNAL") or registry_snapshot().parent / "journal")


def fleet_roles() -> frozenset[str]:
    """Roles of Airflow whose people may see how the models of all clients do: small letters, by commas."""
    stated = os.environ.get("FORESIGHT_FLEET_ROLES", "admin")
    return frozenset(role.strip().lower() for role in stated.split(",") if role.strip())


def retraining_seconds() -> float:
    """Processor seconds that a replica may spend in one night on trainings that nobody has asked for."""
    stated = os.environ.get("FORESIGHT_RETRAINING_SECONDS", "14400")
    try:
        return float(stated)
    except ValueError:
        raise ConfigurationError(f"FORESIGHT_RETRAINING_SECONDS must be a number of seconds, got '{stated}'") from None


def conninfo(conn_id: str) -> str:
    """The conninfo of an Airflow connection that the environment holds, for a process without Airflow."""
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    stated = os.environ.get(variable)
    if not stated:
        raise ConfigurationError(f"{variable} is not set: it holds the connection '{conn_id}', as JSON or as a URI")
    return connections.from_text(conn_id, stated)
