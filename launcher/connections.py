"""The databases as the library's login sees them: of an instance, or those that the environment names."""

from __future__ import annotations

import os

import psycopg

from include.foresight import settings
from include.foresight.database import PRIMARY, Databases
from launcher import clusters, platform_data
from launcher import instance as instances
from launcher.errors import LauncherError

PLATFORM = "platform"


def databases(instance: str | None) -> Databases:
    """Of the instance; unless one is named, of Airflow's connections in the environment, where there are such."""
    if instance is None and os.environ.get(f"AIRFLOW_CONN_{PRIMARY.upper()}"):
        return Databases(lambda conn_id: psycopg.connect(settings.conninfo(conn_id)))
    one = instances.load(instance or instances.latest())
    servers = clusters.of(one)
    for cluster in (servers.primary, servers.replica):
        if not cluster.running:
            raise LauncherError(f"the {cluster.name} of '{one.name}' is stopped: ./foresight run starts it")
    return platform_data.databases(
        servers.primary.conninfo(PLATFORM), servers.replica.conninfo(PLATFORM), one.secrets["app"]
    )
