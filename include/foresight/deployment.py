"""Set-up of both databases, the first time and every time after: roles, schemas, replication, `pgml`, clients."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql

from include.foresight import migrations, names, replication
from include.foresight.errors import ConfigurationError
from include.foresight.sql import ROOT, statement

APP = "foresight_app"
REPLICATION = "foresight_replication"

OLDEST_SERVER = 150000


@dataclass(frozen=True)
class Passwords:
    """Of the login of both connections, and of the one with which the replica reads the primary."""

    app: str
    replication: str


def install(
    primary_dsn: str,
    replica_dsn: str,
    *,
    replication_dsn_for_replica: str,
    passwords: Passwords,
    progress: Callable[[str], None] = print,
) -> None:
    """Bring both databases from whatever state to the present one; when nothing is to do it takes a moment.

    Both conninfos are a superuser's. The platform's tables must be in the primary's schema public; they stay as they
    are. Raises ConfigurationError for what a person has to change, ForesightError if the first copy gets nowhere.
    """
    prepare(primary_dsn, replica_dsn, passwords=passwords, progress=progress)
    with sessions(primary_dsn, replica_dsn) as (primary, replica):
        replication.subscribe(primary, replica, replication_dsn_for_replica, say=progress)


def prepare(
    primary_dsn: str, replica_dsn: str, *, passwords: Passwords, progress: Callable[[str], None] = print
) -> None:
    """Everything but the subscription.

    The replica goes first: it must have a table or a column before the primary sends rows for it.
    """
    with sessions(primary_dsn, replica_dsn) as (primary, replica):
        bootstrap(primary, "primary", {APP: passwords.app, REPLICATION: passwords.replication})
        bootstrap(replica, "replica", {APP: passwords.app})
        with as_owner(replica):
            replication.make_copies(primary, replica)
        upgrade(replica_dsn, "replica", progress)
        install_pgml(replica, progress)
        with as_owner(replica):
            replication.secure_copies(replica)
        upgrade(primary_dsn, "primary", progress)
        reserve_models(primary, replica)
        replication.publish(primary)


def reserve_models(primary: psycopg.Connection, replica: psycopg.Connection) -> None:
    """Let the replica's next model have an id that no model has had, also where it was rebuilt from nothing."""
    (last,) = primary.execute(statement("deployment/last_model")).fetchone()
    replica.execute(statement("deployment/reserve_models"), {"id": last})


def provision(primary_dsn: str, replica_dsn: str, *client_ids: int) -> None:
    """Make the clients' roles, grants and schemas on both sides; the clients must be in the registry.

    The replica goes first: the registry calls a client provisioned once the primary has it.
    """
    for dsn in (replica_dsn, primary_dsn):
        with psycopg.connect(dsn) as connection:
            connection.execute(statement("deployment/provision"), {"ids": list(client_ids)})


@contextlib.contextmanager
def sessions(primary_dsn: str, replica_dsn: str) -> Iterator[tuple[psycopg.Connection, psycopg.Connection]]:
    """Sessions in autocommit on both servers, which nobody else who sets up these databases has at the same time."""
    with (
        psycopg.connect(primary_dsn, autocommit=True) as primary,
        psycopg.connect(replica_dsn, autocommit=True) as replica,
    ):
        check_servers(primary, replica)
        for connection in (primary, replica):
            connection.execute("set client_min_messages to warning")
            connection.execute(statement("deployment/lock"))
        yield primary, replica


@contextlib.contextmanager
def as_owner(connection: psycopg.Connection) -> Iterator[None]:
    """One transaction as the owner of schema ml and of the copies."""
    with connection.transaction():
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(names.OWNER)))
        yield


def check_servers(primary: psycopg.Connection, replica: psycopg.Connection) -> None:
    """Raises ConfigurationError, with what to do, if these servers cannot be set up."""
    identities = set()
    for name, connection in {"primary": primary, "replica": replica}.items():
        version, text, wal_level, is_superuser, identity = connection.execute(statement("deployment/server")).fetchone()
        identities.add(identity)
        if version < OLDEST_SERVER:
            raise ConfigurationError(f"the {name} is PostgreSQL {text}; 15 is the oldest that will do")
        if not is_superuser:
            raise ConfigurationError(f"set-up of the {name} needs a superuser; {connection.info.user} is none")
        if name == "primary" and wal_level != "logical":
            raise ConfigurationError(
                f"the primary runs with wal_level = {wal_level}: set it to logical "
                "(alter system set wal_level = logical) and restart the server"
            )
    if len(identities) == 1:
        raise ConfigurationError(
            "primary and replica are one server, and a subscription to oneself waits for ever: "
            "the replica needs a server of its own"
        )


def bootstrap(connection: psycopg.Connection, side: str, passwords: dict[str, str]) -> None:
    """Roles, their passwords, and the empty schema ml."""
    with connection.transaction():
        connection.execute((ROOT / "bootstrap" / f"{side}.sql").read_bytes())
        for role, password in passwords.items():
            # Hashed here: what the server gets, it may log.
            hashed = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
            connection.execute(statement("deployment/set_password", role=role, password=sql.Literal(hashed)))


def upgrade(dsn: str, side: str, progress: Callable[[str], None]) -> None:
    run = migrations.upgrade(dsn, migrations.history(side))
    if run:
        progress(f"{side}: {', '.join(run)}")


def install_pgml(replica: psycopg.Connection, progress: Callable[[str], None]) -> None:
    """Our pgml, again only if its files have changed. Where the extension of PostgresML is, its grants only."""
    scripts = sorted((ROOT / "pgml").glob("*.sql"))
    digest = migrations.digest_of(scripts)
    postgresml, installed = replica.execute(statement("deployment/engine")).fetchone()
    if postgresml:
        replica.execute((ROOT / "bootstrap" / "postgresml.sql").read_bytes())
        return
    if installed and replica.execute(statement("deployment/applied"), {"part": "pgml"}).fetchone() == (digest,):
        return
    with replica.transaction():
        for script in scripts:
            replica.execute(script.read_bytes())
        replica.execute(statement("deployment/note_applied"), {"part": "pgml", "digest": digest})
    progress("replica: pgml")
