"""Set-up of both databases, the first time and every time after: roles, schemas, replication, `pgml`, clients.

One code for servers that the launcher has made and for servers that exist. What the login may not do is left to an
administrator as SQL, and set-up goes on where it stood when it is called again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from include.foresight import inspection, migrations, names, replication, roles
from include.foresight.administration import AdministratorNeeded, Step, Work, with_locks
from include.foresight.errors import ConfigurationError
from include.foresight.inspection import Look
from include.foresight.pooling import open_session
from include.foresight.roles import APP, REPLICATION
from include.foresight.sql import ROOT, statement

__all__ = ["APP", "REPLICATION", "Passwords", "attach", "inspect", "install", "prepare", "provision", "rehearse"]

Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Passwords:
    """Of the login of both connections, and of the one with which the replica reads the primary; None: as it is."""

    app: str | None
    replication: str | None

    def of(self, role: str) -> str | None:
        return {APP: self.app, REPLICATION: self.replication}[role]


def install(
    primary_dsn: str,
    replica_dsn: str,
    *,
    replication_dsn_for_replica: str,
    passwords: Passwords,
    progress: Say = print,
) -> None:
    """Bring both databases from whatever state to the present one; when nothing is to do it takes a moment.

    The platform's tables must be in the primary's schema public; they stay as they are. Raises AdministratorNeeded if
    a login may not do its part, ConfigurationError for what else a person has to change, ForesightError if the first
    copy gets nowhere.
    """
    works = attach(
        primary_dsn,
        replica_dsn,
        replication_dsn_for_replica=replication_dsn_for_replica,
        passwords=passwords,
        progress=progress,
    )
    _refuse(works)


def prepare(primary_dsn: str, replica_dsn: str, *, passwords: Passwords, progress: Say = print) -> None:
    """Everything but the subscription."""
    with sessions(primary_dsn, replica_dsn) as (primary, replica):
        works = Work("primary", primary), Work("replica", replica)
        _prepare(*works, (primary_dsn, replica_dsn), passwords, progress)
    _refuse(works)


def attach(
    primary_dsn: str,
    replica_dsn: str,
    *,
    replication_dsn_for_replica: str | None,
    passwords: Passwords,
    progress: Say = print,
) -> tuple[Work, Work]:
    """As `install`, but what a login may not do is in what comes back, (primary, replica), and the rest is done.

    `replication_dsn_for_replica`: None where the password is not known and the subscription is there already.
    """
    with sessions(primary_dsn, replica_dsn) as (primary, replica):
        works = Work("primary", primary), Work("replica", replica)
        looks = _prepare(*works, (primary_dsn, replica_dsn), passwords, progress)
        may_create = replication.may_subscribe(looks[1])
        if any(work.left for work in works):
            # Whoever does the rest makes the subscription too, if that is not ours to make.
            if looks[1].server["owner_of_ml"] and not may_create and not looks[1].subscriptions:
                slot = replication.slot_name(replica)
                works[1].do(replication.subscription_step(replica, replication_dsn_for_replica, slot, may_create))
        else:
            replication.subscribe(*works, replication_dsn_for_replica, may_create=may_create, say=progress)
    return works


def inspect(primary_dsn: str, replica_dsn: str) -> tuple[Look, Look]:
    """A look at both servers. Nothing is changed: the sessions are read-only."""
    with connections(primary_dsn, replica_dsn) as (primary, replica):
        for connection in (primary, replica):
            connection.execute("set default_transaction_read_only to on")
        return inspection.look("primary", primary), inspection.look("replica", replica)


def rehearse(primary_dsn: str, replica_dsn: str, replication_dsn_for_replica: str | None) -> tuple[Work, Work]:
    """What `attach` would do with each server and what it would leave to an administrator, without doing any of it."""
    with connections(primary_dsn, replica_dsn) as (primary, replica):
        for connection in (primary, replica):
            connection.execute("set default_transaction_read_only to on")
        looks = inspection.look("primary", primary), inspection.look("replica", replica)
        works = Work("primary", primary, dry=True), Work("replica", replica, dry=True)
        for work, look in zip(works, looks, strict=True):
            work.all(roles.steps(look))
        works[1].all(_pgml_steps(looks[1], replica))
        for step in replication.publication_steps(looks[0]):
            works[0].do(_later(step, looks[0]))
        if replication.SUBSCRIPTION not in looks[1].subscriptions and replication_dsn_for_replica:
            slot, may_create = replication.slot_name(replica), replication.may_subscribe(looks[1])
            step = replication.subscription_step(replica, replication_dsn_for_replica, slot, may_create)
            works[1].do(_later(step, looks[1]))
        return works


def _later(step: Step, look: Look) -> Step:
    """What names tables of schema ml cannot be run before they are there."""
    return replace(step, later=look.server["owner_of_ml"] is None)


def _refuse(works: tuple[Work, Work]) -> None:
    left = [one for work in works for one in work.left]
    if left:
        raise AdministratorNeeded(left)


def _prepare(
    primary: Work, replica: Work, dsns: tuple[str, str], passwords: Passwords, progress: Say
) -> tuple[Look, Look]:
    """Everything but the subscription, as far as it goes.

    The replica goes first: it must have a table or a column before the primary sends rows for it.
    """
    works = primary, replica
    looks = tuple(bootstrap(work, dsn, passwords) for work, dsn in zip(works, dsns, strict=True))
    if any(one.step.first for work in works for one in work.left):
        return looks
    force = roles.bypasses(looks[1], names.OWNER)
    as_owner(replica.connection, lambda: replication.make_copies(primary.connection, replica.connection))
    upgrade(dsns[1], "replica", progress)
    install_pgml(replica, progress)
    install_gateway(replica, progress)
    as_owner(replica.connection, lambda: replication.secure_copies(replica.connection, force=force))
    upgrade(dsns[0], "primary", progress)
    open_tables(primary, looks[0])
    reserve_models(primary, replica)
    primary.all(replication.publication_steps(inspection.look("primary", primary.connection)))
    return looks


def bootstrap(work: Work, dsn: str, passwords: Passwords) -> Look:
    """Roles, their passwords, and the empty schema ml. What the server looks like afterwards."""
    look = inspection.look(work.side, work.connection)
    work.all(roles.steps(look))
    look = inspection.look(work.side, work.connection)
    for role in roles.LOGINS[work.side]:
        password = passwords.of(role)
        # Where it is somebody else's to set, it is asked for only until it works.
        if password is None or (not look.may_alter(role) and _opens(dsn, role, password)):
            continue
        # Hashed here: what the server gets, it may log.
        pgconn = work.connection.pgconn
        hashed = pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
        work.do(roles.password(look, role, hashed))
    return look


def _opens(dsn: str, role: str, password: str) -> bool:
    try:
        psycopg.connect(make_conninfo(dsn, user=role, password=password)).close()
    except psycopg.OperationalError:
        return False
    return True


def open_tables(primary: Work, look: Look) -> None:
    """Policies for the owner of schema ml and for the role of the replication, where these pass none without one."""
    connection = primary.connection

    def open_closed() -> None:
        if not roles.bypasses(look, names.OWNER):
            for (name,) in connection.execute(statement("deployment/closed_to_owner")).fetchall():
                table = sql.Identifier("ml", name)
                connection.execute(statement("deployment/open_to_owner", table=table, owner=names.OWNER))
        if not roles.bypasses(look, REPLICATION):
            found = connection.execute(
                statement("deployment/closed_to_replication"), {"tables": list(replication.OURS)}
            ).fetchall()
            for (name,) in found:
                table = sql.Identifier("ml", name)
                connection.execute(statement("deployment/open_to_replication", table=table, role=REPLICATION))

    as_owner(connection, open_closed)


def reserve_models(primary: Work, replica: Work) -> None:
    """Let the replica's next model have an id that no model has had, also where it was rebuilt from nothing."""
    if replica.left:
        return  # perhaps without pgml
    last_model = statement("deployment/last_model")
    (last,) = as_owner(primary.connection, lambda: primary.connection.execute(last_model).fetchone())
    allowed, reached = replica.connection.execute(statement("deployment/may_reserve")).fetchone()
    if last > (reached or 0):
        query = statement("deployment/reserve_models", id=sql.Literal(last))
        replica.do(Step("keep the ids of earlier models", query, allowed, "a superuser, or the owner of pgml's tables"))


def provision(primary_dsn: str, replica_dsn: str, *client_ids: int) -> None:
    """Make the clients' roles, grants and schemas on both sides; the clients must be in the registry.

    The replica goes first: the registry calls a client provisioned once the primary has it.
    """
    for dsn in (replica_dsn, primary_dsn):
        with psycopg.connect(dsn) as connection:
            connection.execute(statement("deployment/provision"), {"ids": list(client_ids)})


@contextlib.contextmanager
def connections(primary_dsn: str, replica_dsn: str) -> Iterator[tuple[psycopg.Connection, psycopg.Connection]]:
    """Sessions in autocommit on both servers."""
    with (
        _connect("primary", primary_dsn) as primary,
        _connect("replica", replica_dsn) as replica,
    ):
        for connection in (primary, replica):
            open_session(connection)
        yield primary, replica


def _connect(side: str, dsn: str) -> psycopg.Connection:
    try:
        return psycopg.connect(dsn, autocommit=True)
    except psycopg.OperationalError as error:
        raise ConfigurationError(f"the {side} cannot be reached: {error}".strip()) from error


@contextlib.contextmanager
def sessions(primary_dsn: str, replica_dsn: str) -> Iterator[tuple[psycopg.Connection, psycopg.Connection]]:
    """The same, and nobody else who sets up these databases has them at the same time."""
    with connections(primary_dsn, replica_dsn) as both:
        # Before the lock: of one server it would be waited for by ourselves.
        check_servers(inspection.look("primary", both[0]), inspection.look("replica", both[1]))
        for connection in both:
            connection.execute(statement("deployment/lock"))
        yield both


def as_owner(connection: psycopg.Connection, body: Callable[[], T]) -> T:
    """What `body` returns, in one transaction as the owner of schema ml and of the copies."""

    def owned() -> T:
        with connection.transaction():
            connection.execute(sql.SQL("set local role {}").format(sql.Identifier(names.OWNER)))
            return body()

    return with_locks(connection, owned)


def check_servers(primary: Look, replica: Look) -> None:
    """Raises ConfigurationError, with what to do, if these servers cannot be set up."""
    found = inspection.problems(primary, replica)
    if found:
        raise ConfigurationError("\n".join(found))


def upgrade(dsn: str, side: str, progress: Say) -> None:
    run = migrations.upgrade(dsn, migrations.history(side))
    if run:
        progress(f"{side}: {', '.join(run)}")


def install_pgml(replica: Work, progress: Say) -> None:
    """Our pgml, again only if its files have changed; or the extension, and what PostgresML's does not grant."""
    steps = list(_pgml_steps(inspection.look("replica", replica.connection), replica.connection))
    if not all(step.allowed for step in steps):
        replica.all(steps)
    elif steps:
        with replica.connection.transaction():
            replica.all(steps)
        progress("replica: pgml")


def install_gateway(replica: Work, progress: Say) -> None:
    """The gateway to the engine that is there, again only if its files or the engine have changed."""
    if replica.left:
        return  # perhaps without pgml
    engine = inspection.look("replica", replica.connection).engine_name
    names_of_scripts = ("common", "postgresml" if engine == "postgresml" else "ours", "grants")
    scripts = [ROOT / "gateway" / f"{name}.sql" for name in names_of_scripts]
    digest = migrations.digest_of(scripts)
    server = replica.connection

    def install() -> bool:
        if server.execute(statement("deployment/applied"), {"part": "gateway"}).fetchone() == (digest,):
            return False
        server.execute(statement("deployment/create_schema", schema=names.GATEWAY_SCHEMA, owner=names.GATEWAY))
        server.execute(sql.SQL("set local role {}").format(sql.Identifier(names.GATEWAY)))
        # Our own pgml lets only its users in, as whom these functions run there.
        server.execute("set local check_function_bodies to off")
        for script in scripts:
            server.execute(script.read_bytes())
        server.execute(sql.SQL("set local role {}").format(sql.Identifier(names.OWNER)))
        server.execute(statement("deployment/note_applied"), {"part": "gateway", "digest": digest})
        return True

    if as_owner(server, install):
        progress("replica: gateway")


def _pgml_steps(replica: Look, connection: psycopg.Connection) -> Iterator[Step]:
    wanted = replica.engine_to_install if replica.engine_name == "none" else replica.engine_name
    if replica.engine_name == "none" and wanted != "ours":
        allowed = replica.is_superuser or (replica.engine["available_is_trusted"] and replica.server["may_create"])
        yield Step("install pgml", statement("deployment/create_extension"), allowed)
    if wanted == "postgresml" and not replica.engine["is_granted"]:
        query = sql.SQL((ROOT / "bootstrap" / "postgresml.sql").read_text(encoding="utf-8"))
        may_grant = replica.is_superuser or replica.engine["is_ours"]
        yield Step("let the gateway, and nobody else, use PostgresML", query, may_grant)
    if wanted != "ours":
        return
    scripts = sorted((ROOT / "pgml").glob("*.sql"))
    digest = migrations.digest_of(scripts)
    applied = statement("deployment/applied")
    is_set_up = replica.server["owner_of_ml"] is not None and replica.roles.get(names.OWNER)
    if replica.engine_name == "ours" and is_set_up:
        if not replica.may_use(names.OWNER):
            return  # not for this login to see, nor to say
        if connection.execute(applied, {"part": "pgml"}).fetchone() == (digest,):
            return
    for script in scripts:
        # Not composed: the files hold braces that mean themselves.
        yield Step(f"install pgml, {script.name}", sql.SQL(script.read_text(encoding="utf-8")), replica.is_superuser)
    noted = psycopg.ClientCursor(connection).mogrify(
        statement("deployment/note_applied"), {"part": "pgml", "digest": digest}
    )
    yield _later(Step("remember which pgml this is", sql.SQL(noted), replica.is_superuser), replica)
