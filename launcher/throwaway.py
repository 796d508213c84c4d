"""Throw-away PostgreSQL servers: real ones, without the care for what would survive a crash.

Those that a replay may live on say so by their `cluster_name`, which only a server's own configuration can set: no
session, role or database of a real installation can take it on (`runs.check_throw_away`).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

import demo
from include.foresight import deployment
from include.foresight.database import PRIMARY, REPLICA, Databases
from include.foresight.deployment import Passwords
from include.foresight.runs import THROW_AWAY
from include.foresight.sql import statement
from launcher.clusters import SETTINGS, Cluster, server_environment
from launcher.errors import LauncherError
from launcher.instance import engine_environment
from launcher.system import CHECKOUT, postgres_bin, server_user

CARELESS = {"fsync": "off", "full_page_writes": "off", "max_connections": "100"}
FOR_REPLAY = {"cluster_name": THROW_AWAY}
PLATFORM = "platform"


class Servers:
    """A primary and an ML replica in a folder that the servers' user can reach."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        engine = Path(os.environ.get("FORESIGHT_ENGINE_VENV") or engine_environment())
        if not (engine / "bin" / "python").exists():
            raise LauncherError(
                f"the database server's virtual environment is missing in {engine}: start through ./foresight"
            )
        self.folder = Path(tempfile.mkdtemp(prefix="foresight-", dir="/var/tmp"))
        self.folder.chmod(0o755)
        self.settings = CARELESS | dict(settings or {})
        self.primary = self._cluster("primary", server_environment(None))
        self.replica = self._cluster("replica", server_environment(engine) | self._package())

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
            settings=SETTINGS[name] | self.settings,
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


class _Lasting(psycopg.Connection):
    """Outlives its session: a new backend imports for half a second before it can ask a model."""

    lent = False

    def close(self) -> None:
        self.lent = False

    def end(self) -> None:
        super().close()


@contextlib.contextmanager
def warm(places: Mapping[str, str]) -> Iterator[Databases]:
    """Databases by the name of their connection, whose sessions on the replica are one as long as nobody else has it:
    who ends a fit that hangs does so from another."""
    kept: list[_Lasting] = []

    def connect(name: str) -> psycopg.Connection:
        if name != REPLICA:
            return psycopg.connect(places[name])
        if kept and kept[-1].lent and not kept[-1].closed:
            return psycopg.connect(places[name])
        if not kept or kept[-1].closed:
            kept.append(_Lasting.connect(places[name]))
        kept[-1].lent = True
        return kept[-1]

    try:
        yield Databases(connect)
    finally:
        for connection in kept:
            connection.end()


@dataclass(frozen=True)
class ThrowAway:
    """A whole installation to replay on. `primary`, `replica`: a superuser's conninfos; `platform`: of the role that
    owns the platform's tables."""

    primary: str
    replica: str
    platform: str
    passwords: Passwords

    def install(self) -> None:
        """Everything of ours, once the platform's tables are as they are to be found."""
        deployment.install(
            self.primary,
            self.replica,
            replication_dsn_for_replica=make_conninfo(
                self.primary, user=deployment.REPLICATION, password=self.passwords.replication
            ),
            passwords=self.passwords,
            progress=lambda _: None,
        )

    def register(self, client_id: int, slug: str, name: str) -> None:
        """A client of the platform's, in the registry and provisioned on both sides."""
        with psycopg.connect(self.primary) as connection:
            connection.execute(
                statement("deployment/register_client"),
                {"client_id": client_id, "slug": slug, "name": name, "clock": "data"},
            )
        deployment.provision(self.primary, self.replica, client_id)

    def databases(self) -> contextlib.AbstractContextManager[Databases]:
        """As the application's login sees them. For one thread."""
        app = {"user": deployment.APP, "password": self.passwords.app}
        return warm({PRIMARY: make_conninfo(self.primary, **app), REPLICA: make_conninfo(self.replica, **app)})


@contextlib.contextmanager
def installation() -> Iterator[ThrowAway]:
    """Servers that a replay may live on, the platform's tables empty, nothing of ours installed yet."""
    servers = Servers(FOR_REPLAY)
    try:
        servers.start()
        name, password = "foresight_replay", secrets.token_urlsafe(12)
        with psycopg.connect(servers.primary.conninfo(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("create role {} login password {}").format(sql.Identifier(PLATFORM), sql.Literal(password))
            )
            connection.execute(
                sql.SQL("create database {} owner {}").format(sql.Identifier(name), sql.Identifier(PLATFORM))
            )
        with psycopg.connect(servers.replica.conninfo(), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        made = ThrowAway(
            primary=make_conninfo(servers.primary.conninfo(), dbname=name),
            replica=make_conninfo(servers.replica.conninfo(), dbname=name),
            platform=make_conninfo(servers.primary.conninfo(), dbname=name, user=PLATFORM, password=password),
            passwords=Passwords(app=secrets.token_urlsafe(12), replication=secrets.token_urlsafe(12)),
        )
        demo.create_platform(made.platform)
        yield made
    finally:
        servers.destroy()
