"""The registry as DAG files see it: a JSON file beside the bundle, since a file that is parsed all day must not ask a
database.

`sync` writes it; a file beside it keeps the last copy that this version could read. Nothing heavy is imported here: the
DAG processor reads this module at every parse.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from include.foresight.errors import ConfigurationError, ForesightError

if TYPE_CHECKING:
    from include.foresight.clients import Client
    from include.foresight.database import Databases

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1

# What `sync` touches every minute; older than this, nobody does.
MAX_AGE = datetime.timedelta(minutes=10)

SLUG = re.compile(r"[a-z0-9][a-z0-9_]{0,62}")

# Nightlies without a schedule of their own begin somewhere in here, in the client's own time zone.
WINDOW_START = datetime.time(1, 0)
WINDOW_MINUTES = 240


class SnapshotError(ForesightError):
    """The snapshot of the registry is missing, cannot be read, or is older than it may be."""


@dataclass(frozen=True)
class Entry:
    """What a client's DAG is made from. `schedule`: cron, None for the staggered default."""

    slug: str
    client_id: int | None = None
    name: str = ""
    schedule: str | None = None
    time_zone: str = "UTC"
    replica_conn_id: str = "foresight_replica"

    @classmethod
    def of(cls, stated: Any) -> Entry:
        """One entry of the snapshot; raises ConfigurationError with the entry's slug, the field and its value."""
        if not isinstance(stated, Mapping):
            raise ConfigurationError(f"an entry of the registry must be an object, got {stated!r}")
        slug = stated.get("slug")
        if not isinstance(slug, str) or not SLUG.fullmatch(slug):
            raise ConfigurationError(f"slug must be small letters, digits and '_', at most 63, got {slug!r}")
        kinds = {"client_id": int, "name": str, "time_zone": str, "replica_conn_id": str}
        for name, kind in kinds.items():
            if not isinstance(stated.get(name), kind):
                raise ConfigurationError(f"{name} of client '{slug}' must be {kind.__name__}, got {stated.get(name)!r}")
        schedule = stated.get("schedule")
        if schedule is not None and not isinstance(schedule, str):
            raise ConfigurationError(f"schedule of client '{slug}' must be cron or null, got {schedule!r}")
        try:
            # Airflow reads it when it serializes the DAG, and what fails there takes down every DAG of the file.
            ZoneInfo(stated["time_zone"])
        except (KeyError, ValueError, OSError):
            raise ConfigurationError(
                f"time_zone of client '{slug}' must be a name like Europe/Paris, got '{stated['time_zone']}'"
            ) from None
        return cls(slug, schedule=schedule, **{name: stated[name] for name in kinds})

    @classmethod
    def of_client(cls, client: Client) -> Entry:
        return cls(
            client.slug, client.client_id, client.name, client.schedule, client.time_zone, client.replica_conn_id
        )

    @property
    def cron(self) -> str:
        return self.schedule or default_schedule(self.slug)


@dataclass(frozen=True)
class Snapshot:
    """`clients`: entries as they stand in the file, not checked. `problems`: by slug, why an active client is not among
    them. `error`: why this is not the fresh file, if it is not."""

    clients: Sequence[Any] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    written_at: datetime.datetime | None = None
    error: SnapshotError | None = None


def default_schedule(slug: str) -> str:
    """Once a night, at the client's own minute of the window: a thousand clients must not begin at once."""
    start = WINDOW_START.hour * 60 + WINDOW_START.minute
    hour, minute = divmod(start + zlib.crc32(slug.encode()) % WINDOW_MINUTES, 60)
    return f"{minute} {hour} * * *"


def last_due(cron: str, time_zone: str, before: datetime.datetime) -> datetime.datetime:
    """The last moment before `before` at which that schedule was due."""
    from croniter import croniter

    return croniter(cron, before.astimezone(ZoneInfo(time_zone))).get_prev(datetime.datetime)


def last_good(path: Path) -> Path:
    """Kept by version, so that a newer writer does not take it away from an older reader."""
    return path.with_name(f"{path.stem}.v{SCHEMA_VERSION}{path.suffix}")


def write(path: Path, clients: Iterable[Entry], problems: Mapping[str, str] | None = None) -> None:
    """Replace the snapshot and its copy, each in one step: a reader finds the old one or the new one."""
    content = json.dumps(
        {
            "schema_version": SCHEMA_VERSION,
            "written_at": datetime.datetime.now(datetime.UTC).isoformat(),
            "clients": [asdict(entry) for entry in clients],
            "problems": dict(sorted((problems or {}).items())),
        },
        ensure_ascii=False,
        indent=1,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    for target in (last_good(path), path):
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)


def read(path: Path, *, max_age: datetime.timedelta | None = None) -> Snapshot:
    """The snapshot, or the last good copy with the error that kept it from being the fresh one. Never raises."""
    try:
        snapshot = _load(path)
    except SnapshotError as error:
        try:
            kept = _load(last_good(path))
        except SnapshotError:
            return Snapshot(error=SnapshotError(f"{error}; there is no good copy either"))
        return Snapshot(
            kept.clients, kept.problems, kept.written_at, SnapshotError(f"{error}; the last good copy is used")
        )
    if max_age is not None:
        age = datetime.datetime.now().timestamp() - path.stat().st_mtime
        if age > max_age.total_seconds():
            error = SnapshotError(
                f"{path} was last confirmed {age / 60:.0f} minutes ago, at most {max_age.total_seconds() / 60:.0f} are "
                "allowed: does the DAG sync_clients run?"
            )
            return Snapshot(snapshot.clients, snapshot.problems, snapshot.written_at, error)
    return snapshot


def _load(path: Path) -> Snapshot:
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        version = stated["schema_version"]
        if version != SCHEMA_VERSION:
            raise SnapshotError(f"{path} has schema version {version!r}, this Foresight reads {SCHEMA_VERSION}")
        clients, problems = stated["clients"], stated["problems"]
        if not isinstance(clients, list) or not isinstance(problems, dict):
            raise SnapshotError(
                f"{path} is no snapshot of the registry: 'clients' must be a list, 'problems' an object"
            )
        return Snapshot(clients, problems, datetime.datetime.fromisoformat(stated["written_at"]))
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"{path} is no snapshot of the registry: {type(error).__name__} {error}") from error


def sync(databases: Databases, path: Path) -> list[str]:
    """Provision the clients that are not, then bring the snapshot up to date; the slugs of the clients in it.

    A client that cannot be provisioned stays out, with the reason among the snapshot's problems. A replica that does
    not answer takes no client away that has been provisioned before.
    """
    from include.foresight import clients, replication

    with databases.primary() as primary:
        with primary.as_fleet() as fleet:
            active = clients.read_active(fleet)
            # While the primary is away, what a replica's copies may be trusted for depends on their age.
            replication.beat(fleet)
        problems: dict[str, str] = {}
        for conn_id in sorted({client.replica_conn_id for client in active}):
            problems |= _provision(
                databases, primary, conn_id, [client for client in active if client.replica_conn_id == conn_id]
            )
    entries = [Entry.of_client(client) for client in active if client.slug not in problems]
    current = read(path)
    if current.error or list(current.clients) != [asdict(entry) for entry in entries] or current.problems != problems:
        write(path, entries, problems)
    else:
        os.utime(path)
    return [entry.slug for entry in entries]


def _provision(databases: Databases, primary: Any, conn_id: str, assigned: Sequence[Client]) -> dict[str, str]:
    """Provision the clients of one replica, on it first; by slug, why it could not be done."""
    try:
        with databases.session(conn_id) as replica:
            with replica.as_fleet() as fleet:
                rows = fleet.all("registry/without_schema", {"client_ids": [client.client_id for client in assigned]})
            unknown = {row["client_id"] for row in rows}
            return _provision_on(primary, replica, [c for c in assigned if not c.provisioned or c.client_id in unknown])
    except Exception as error:  # whatever is wrong with one replica must not stop the clients of the others
        log.warning("replica '%s' cannot be used: %s", conn_id, error)
        reason = f"not provisioned, its replica '{conn_id}' cannot be used: {error}"
        return {client.slug: reason for client in assigned if not client.provisioned}


def _provision_on(primary: Any, replica: Any, wanted: Sequence[Client]) -> dict[str, str]:
    problems = {}
    for client in wanted:
        try:
            # The replica first: the registry calls a client provisioned once the primary has it.
            for session in (replica, primary):
                with session.as_fleet() as fleet:
                    fleet.run("registry/provision", {"client_id": client.client_id})
            log.info("provisioned client '%s' (%s)", client.slug, client.client_id)
        except Exception as error:  # one client must not stop the others
            log.warning("client '%s' cannot be provisioned: %s", client.slug, error)
            problems[client.slug] = f"not provisioned: {error}"
    return problems
