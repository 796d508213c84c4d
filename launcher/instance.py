"""An instance: one set of clusters and services with its ports, passwords and data, kept below one folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import socket
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from launcher.errors import LauncherError

DEMO = "demo"
NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,39}$")

PORTS = ("primary", "replica", "metadata", "api", "worker_log", "trigger_log", "scheduler_health")
# Below the range from which Linux takes the ports of outgoing connections, which could hold ours while we are stopped.
FIRST_PORT, LAST_PORT = 21000, 31999

SECRETS = ("superuser", "platform", "app", "replication", "airflow_database", "airflow_admin", "jwt", "api", "fernet")


def home() -> Path:
    """Where everything of this checkout stands: the environments and the instances."""
    value = os.environ.get("FORESIGHT_HOME")
    if not value:
        raise LauncherError("FORESIGHT_HOME is not set: start through ./foresight")
    # A process is known as ours by the folder that it works in, and that is told without symbolic links.
    return Path(value).resolve()


def engine_environment() -> Path:
    """The database server's virtual environment."""
    return home() / "engine"


@dataclass
class Instance:
    """`data` is None for the generated demo data, else the folder of exports."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    data: str | None = None
    done: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def airflow_home(self) -> Path:
        return self.folder / "airflow"

    @property
    def run(self) -> Path:
        """The pid files of the services."""
        return self.folder / "run"

    @property
    def snapshot(self) -> Path:
        """The registry as the DAG files read it."""
        return self.folder / "registry" / "clients.json"

    @property
    def exists(self) -> bool:
        return (self.folder / "instance.json").exists()

    def save(self) -> None:
        """Write the state by rename, readable by its owner only: the passwords are in it."""
        state = asdict(self)
        del state["folder"]
        temporary = self.folder / ".instance.json"
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(state, file, indent=2)
        temporary.replace(self.folder / "instance.json")

    def mark(self, step: str, value: str) -> None:
        self.done[step] = value
        self.save()


def instances_folder() -> Path:
    return home() / "instances"


def name_for(data: Path | None) -> str:
    """The name of the instance that serves this data: exports of one folder come back to one instance."""
    if data is None:
        return DEMO
    slug = re.sub(r"[^a-z0-9]+", "-", data.name.lower()).strip("-") or "data"
    return f"{slug[:24]}-{zlib.crc32(str(data.resolve()).encode()):08x}"


def load(name: str) -> Instance:
    if not NAME.match(name):
        raise LauncherError(f"'{name}' cannot name an instance: small letters, digits, '-' and '_', at most 40.")
    folder = instances_folder() / name
    try:
        state = json.loads((folder / "instance.json").read_text())
    except FileNotFoundError:
        known = ", ".join(names()) or "none yet"
        raise LauncherError(
            f"there is no instance '{name}' (there are: {known}): make it with ./foresight run"
        ) from None
    return Instance(folder=folder, **state)


def load_or_create(name: str, data: Path | None) -> Instance:
    """The instance of that name, made if need be. An instance keeps the data that it was made with."""
    wanted = str(data.resolve()) if data else None
    if name in names():
        instance = load(name)
        if instance.data != wanted:
            raise LauncherError(
                f"instance '{name}' holds {instance.data or 'the demo data'}, not {wanted or 'the demo data'}: "
                f"name another with --instance, or destroy it with ./foresight clean --instance {name} --yes"
            )
        return instance
    if not NAME.match(name):
        raise LauncherError(f"'{name}' cannot name an instance: small letters, digits, '-' and '_', at most 40.")
    instance = Instance(folder=instances_folder() / name, data=wanted)
    instance.folder.mkdir(parents=True, exist_ok=True)
    for folder in (instance.logs, instance.airflow_home, instance.run, instance.snapshot.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    instance.secrets = generated_secrets()
    instance.save()
    return instance


def generated_secrets() -> dict[str, str]:
    # HS512 tokens want 64 bytes; Fernet wants exactly 32, in base64 with its padding.
    lengths = {"jwt": 64, "api": 64, "fernet": 32}
    made = {name: secrets.token_urlsafe(lengths.get(name, 18)) for name in SECRETS}
    return made | {"fernet": made["fernet"] + "="}


def names() -> list[str]:
    return sorted(path.parent.name for path in instances_folder().glob("*/instance.json"))


def has_data(name: str) -> bool:
    """Whether the platform's data are in the databases of the instance of that name."""
    return name in names() and "platform_data" in load(name).done


def latest() -> str:
    """The instance that the last run used: what the commands that look at things mean when none is named."""
    marker = instances_folder() / ".latest"
    name = marker.read_text().strip() if marker.exists() else DEMO
    return name if name in names() else next(iter(names()), DEMO)


def remember_as_latest(instance: Instance) -> None:
    (instances_folder() / ".latest").write_text(instance.name)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose_ports(
    kept: dict[str, int], in_use_by_us: set[str], seed: str, *, free: Callable[[int], bool] = is_free
) -> dict[str, int]:
    """Ports for every server: the ones it had unless a stranger has taken them meanwhile.

    Two checkouts that start at the same moment look from different places (`seed`), so they rarely meet.
    """
    chosen: dict[str, int] = {}
    span = LAST_PORT - FIRST_PORT + 1
    start = zlib.crc32(seed.encode()) % span
    candidates = (FIRST_PORT + (start + step) % span for step in range(span))
    for name in PORTS:
        port = kept.get(name)
        if port is None or (name not in in_use_by_us and not free(port)):
            taken = set(chosen.values()) | set(kept.values())
            port = next((one for one in candidates if one not in taken and free(one)), None)
            if port is None:
                raise LauncherError(f"no free port between {FIRST_PORT} and {LAST_PORT} on 127.0.0.1")
        chosen[name] = port
    return chosen


@contextlib.contextmanager
def locked(instance: Instance) -> Iterator[None]:
    """Held by the one command that changes the instance. Ends with its process, however that ends."""
    path = instance.folder / ".lock"
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip() or "another command"
            raise LauncherError(
                f"instance '{instance.name}' is in use by {holder}: wait until it has ended, or end it with Ctrl-C."
            ) from None
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()}")
        file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.truncate()


def destroy(instance: Instance) -> None:
    shutil.rmtree(instance.folder)
