"""The databases as the library's login sees them: of an instance, or those that the environment names."""

from __future__ import annotations

import os
from collections.abc import Collection

from include.foresight import settings
from include.foresight.database import PRIMARY, Databases
from launcher import clusters, platform_data
from launcher import instance as instances
from launcher.errors import LauncherError

PLATFORM = "platform"


def databases(instance: str | None, needs: Collection[str] = ("primary", "replica")) -> Databases:
    """Of the instance; unless one is named, of Airflow's connections in the environment, where there are such."""
    if instance is None and os.environ.get(f"AIRFLOW_CONN_{PRIMARY.upper()}"):
        return Databases.at(settings.conninfo)
    one = instances.load(instance or instances.latest())
    servers = clusters.of(one)
    for name in needs:
        if not getattr(servers, name).running:
            raise LauncherError(f"the {name} of '{one.name}' is stopped: ./foresight run starts it")
    return platform_data.databases(
        servers.primary.conninfo(PLATFORM), servers.replica.conninfo(PLATFORM), one.secrets["app"]
    )
