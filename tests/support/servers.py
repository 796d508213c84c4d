"""Throw-away PostgreSQL servers: real ones, without the care for what would survive a crash."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from launcher.clusters import SETTINGS, Cluster, server_environment
from launcher.system import CHECKOUT, postgres_bin, server_user

CARELESS = {"fsync": "off", "full_page_writes": "off", "max_connections": "100"}


class Servers:
    """A primary and an ML replica in a folder that the servers' user can reach."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="foresight-", dir="/var/tmp"))
        self.folder.chmod(0o755)
        engine = os.environ.get("FORESIGHT_ENGINE_VENV")
        assert engine and Path(engine, "bin", "python").exists(), (
            "FORESIGHT_ENGINE_VENV must name the database server's virtual environment: start through ./foresight test"
        )
        self.primary = self._cluster("primary", server_environment(None))
        self.replica = self._cluster("replica", server_environment(Path(engine)) | self._package())

    def _package(self) -> dict[str, str]:
        """This checkout's engine, ahead of what the venv may hold."""
        packages = self.folder / "packages"
        shutil.copytree(
            CHECKOUT / "include" / "pgml_engine",
            packages / "pgml_engine",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        subprocess.run(["chmod", "-R", "a+rX", packages], check=True)
        return {"PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"}

    def _cluster(self, name: str, environment: dict[str, str]) -> Cluster:
        return Cluster(
            name=name,
            folder=self.folder / name,
            port=free_port(),
            password=secrets.token_urlsafe(12),
            owner=server_user(),
            bin=postgres_bin(),
            settings=SETTINGS[name] | CARELESS,
            environment=environment,
        )

    def start(self, *, replica: bool = True) -> None:
        for cluster in (self.primary, self.replica) if replica else (self.primary,):
            cluster.create()
            cluster.start()

    def destroy(self) -> None:
        for cluster in (self.replica, self.primary):
            cluster.stop(patience=10)
        shutil.rmtree(self.folder)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
