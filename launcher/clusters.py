"""The three PostgreSQL clusters of an instance: primary, ML replica, Airflow's metadata."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from launcher import processes
from launcher.errors import LauncherError
from launcher.instance import Instance, engine_environment
from launcher.system import ServerUser, postgres_bin, server_user, unreachable_parent

SUPERUSER = "postgres"
NAMES = ("primary", "replica", "metadata")

COMMON = {
    "listen_addresses": "127.0.0.1",
    # Everything goes through TCP: the path of a socket may have 107 bytes, and homes are longer.
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "60",
    # Less to replay after a crash; the nightly rewrites little.
    "max_wal_size": "256MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %a %u@%d ",
    "log_min_messages": "warning",
    "password_encryption": "scram-sha-256",
}

SETTINGS = {
    "primary": {
        "wal_level": "logical",
        "max_wal_senders": "10",
        "max_replication_slots": "10",
        # A subscriber that stays away must not fill the primary's disk.
        "max_slot_wal_keep_size": "1GB",
    },
    "replica": {
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_logical_replication_workers": "6",
        "max_sync_workers_per_subscription": "3",
        "max_worker_processes": "12",
        "max_replication_slots": "10",
        # How long the subscriber waits before it asks a restarted primary again (default 5 s).
        "wal_retrieve_retry_interval": "500ms",
    },
    "metadata": {
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_connections": "100",
        # Airflow's bookkeeping of this machine: a crash may cost its last moment, never its consistency.
        "synchronous_commit": "off",
    },
}


@dataclass(frozen=True)
class Cluster:
    name: str
    folder: Path
    port: int
    password: str
    owner: ServerUser
    bin: Path
    settings: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "postgresql.log"

    def conninfo(self, database: str = "postgres", **other: str) -> str:
        """A superuser's connection string."""
        return make_conninfo(
            **{"host": "127.0.0.1", "port": self.port, "dbname": database, "user": SUPERUSER, "password": self.password}
            | other
        )

    def create(self) -> None:
        """initdb, once; a half-made one is made again."""
        if (self.folder / "made").exists():
            return
        self.owner.own(self.folder)
        shutil.rmtree(self.data, ignore_errors=True)
        with tempfile.NamedTemporaryFile("w", dir=self.folder) as password:
            password.write(self.password)
            password.flush()
            os.chown(password.name, self.owner.uid, self.owner.gid)
            self._run(
                "initdb",
                f"--pgdata={self.data}",
                f"--username={SUPERUSER}",
                "--auth=scram-sha-256",
                f"--pwfile={password.name}",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "--no-instructions",
            )
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("\ninclude '../foresight.conf'\n")
        (self.folder / "made").touch()

    def start(self) -> None:
        """Start the server unless it runs, and wait until it answers."""
        if self.running:
            return
        self._check_version()
        (self.data / "postmaster.pid").unlink(missing_ok=True)  # nobody works in this folder: the file is stale
        lines = [f"{name} = '{value}'" for name, value in {**COMMON, **self.settings, "port": str(self.port)}.items()]
        configuration = self.folder / "foresight.conf"
        configuration.write_text("\n".join(lines) + "\n")
        configuration.chmod(0o644)
        self._run("pg_ctl", "start", f"--pgdata={self.data}", f"--log={self.log}", "--wait", "--timeout=60", "--silent")

    def _check_version(self) -> None:
        """A server reads only what its own major version wrote."""
        made_by, present = (self.data / "PG_VERSION").read_text().strip(), self.bin.parent.name
        if present.isdigit() and made_by != present:
            raise LauncherError(
                f"the {self.name} cluster in {self.data} was made by PostgreSQL {made_by}, and here is only {present}: "
                f"install postgresql-{made_by} and postgresql-plpython3-{made_by} again, or destroy the instance with "
                f"./foresight clean --instance {self.folder.parent.name} --yes and start anew"
            )

    def servers(self) -> list[psutil.Process]:
        """The server's processes, the postmaster first. They work in the data folder, so no stranger is among them."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.uids().real == self.owner.uid and Path(process.cwd()) == self.data:
                    found.append(process)
            except psutil.Error:
                continue
        return sorted(found, key=lambda process: process.create_time())

    @property
    def running(self) -> bool:
        return bool(self.servers())

    def stop(self, patience: float = 30) -> None:
        """A fast shutdown: open transactions are rolled back. After `patience` seconds it gets less polite."""
        servers = self.servers()
        if not servers:
            return
        processes.end(servers[:1], signal.SIGINT, patience)
        processes.end(self.servers(), signal.SIGQUIT, patience / 3)
        processes.end(self.servers(), signal.SIGKILL, 5)

    def _run(self, program: str, *arguments: str) -> None:
        log = self.folder / "set-up.log"
        processes.run_to_end(
            [self.bin / program, *arguments],
            f"{program} of the {self.name} cluster",
            log,
            cwd=self.folder,
            env=self.environment,
            # pg_ctl is not to die of the Ctrl-C that ends us: it would leave a server behind that is half started.
            start_new_session=True,
            **self.owner.as_popen,
        )


def server_environment(engine: Path | None) -> dict[str, str]:
    """What a postmaster sees. Nothing of ours leaks in; PL/Python takes the first python3 on PATH for its home."""
    path = "/usr/bin:/bin"
    environment = {"LANG": "C.UTF-8", "PATH": path}
    if engine:
        # Two sessions that fit with two threads each get a fifth of the work done.
        environment |= {"PATH": f"{engine}/bin:{path}", "OMP_NUM_THREADS": "1"}
    return environment


@dataclass(frozen=True)
class Clusters:
    primary: Cluster
    replica: Cluster
    metadata: Cluster

    def all(self) -> list[Cluster]:
        return [getattr(self, name) for name in NAMES]

    def stop(self, names: Collection[str] = NAMES) -> None:
        # The subscriber first: a primary that shuts down waits for it.
        if "replica" in names:
            self.replica.stop()
        with ThreadPoolExecutor() as pool:
            list(pool.map(Cluster.stop, [one for one in (self.primary, self.metadata) if one.name in names]))


def binaries_for(data: Path, chosen: Path) -> Path:
    """The programs of the major version that made the cluster, while they are installed beside the chosen ones."""
    try:
        own = chosen.parents[1] / (data / "PG_VERSION").read_text().strip() / "bin"
    except FileNotFoundError:
        return chosen
    return own if (own / "postgres").exists() else chosen


def of(instance: Instance) -> Clusters:
    """The clusters of an instance. Its ports must have been chosen."""
    owner, binaries = server_user(), postgres_bin()

    def cluster(name: str, engine: Path | None = None) -> Cluster:
        return Cluster(
            name=name,
            folder=instance.folder / name,
            port=instance.ports.get(name, 0),
            password=instance.secrets["superuser"],
            owner=owner,
            bin=binaries_for(instance.folder / name / "data", binaries),
            settings=SETTINGS[name],
            environment=server_environment(engine),
        )

    return Clusters(cluster("primary"), cluster("replica", engine_environment()), cluster("metadata"))


def check_reachable(instance: Instance) -> None:
    user = server_user()
    blocked = unreachable_parent(instance.folder, user)
    if blocked:
        raise LauncherError(
            f"PostgreSQL runs as the user {user.name}, who may not enter {blocked}: "
            "name a place that it can reach in FORESIGHT_HOME (unset, it is below /var/lib for root)."
        )


def ensure_database(cluster: Cluster, database: str, owner: str | None = None, password: str | None = None) -> None:
    """Make the database and, where one is named, its owner: a login without any other privilege."""
    with psycopg.connect(cluster.conninfo(), autocommit=True) as connection:
        if owner:
            if not connection.execute("select from pg_roles where rolname = %s", [owner]).rowcount:
                connection.execute(sql.SQL("create role {} login").format(sql.Identifier(owner)))
            connection.execute(
                sql.SQL("alter role {} password {}").format(sql.Identifier(owner), sql.Literal(password))
            )
        if not connection.execute("select from pg_database where datname = %s", [database]).rowcount:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(database)))
            if owner:
                connection.execute(
                    sql.SQL("alter database {} owner to {}").format(sql.Identifier(database), sql.Identifier(owner))
                )
