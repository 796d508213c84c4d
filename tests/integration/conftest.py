"""Real servers, started once per worker, and databases made from a template, once per module."""

from __future__ import annotations

import contextlib
import itertools
import secrets
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import demo
from include.foresight import deployment
from include.foresight.deployment import Passwords
from include.foresight.replication import SUBSCRIPTION
from tests.support import postgresml
from tests.support.installation import Installation
from tests.support.servers import Servers

TEMPLATE = "foresight_template"
PLATFORM = "platform"


@pytest.fixture(scope="session")
def pgml_dsn(pytestconfig: pytest.Config) -> str | None:
    """A superuser's conninfo of a server with pgml that somebody else has installed, if one was named."""
    return pytestconfig.getoption("--pgml-dsn")


@pytest.fixture(scope="session")
def servers(pgml_dsn: str | None) -> Iterator[Servers]:
    """A primary and, unless another was named, an ML replica of this worker's own: roles belong to a whole server."""
    made = Servers()
    try:
        made.start(replica=pgml_dsn is None)
        yield made
    finally:
        made.destroy()


@pytest.fixture(scope="session")
def primary_superuser_dsn(servers: Servers) -> str:
    return servers.primary.conninfo()


@pytest.fixture(scope="session")
def replica_superuser_dsn(servers: Servers, pgml_dsn: str | None) -> str:
    return make_conninfo(pgml_dsn) if pgml_dsn else servers.replica.conninfo()


@pytest.fixture(scope="session")
def client_ids() -> Iterator[int]:
    """Ids of clients that no other test of this worker has had: their roles outlive a database."""
    return itertools.count(1001)


@pytest.fixture(scope="session")
def template(primary_superuser_dsn: str, replica_superuser_dsn: str, pgml_dsn: str | None) -> Iterator[Installation]:
    """Both databases set up but for the subscription, to be copied; the platform's tables are empty."""
    passwords = Passwords(app=secrets.token_urlsafe(12), replication=secrets.token_urlsafe(12))
    platform_password = secrets.token_urlsafe(12)
    with psycopg.connect(primary_superuser_dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create role {} login password {}").format(sql.Identifier(PLATFORM), sql.Literal(platform_password))
        )
    made = Installation(
        primary=make_conninfo(primary_superuser_dsn, dbname=TEMPLATE),
        replica=make_conninfo(replica_superuser_dsn, dbname=TEMPLATE),
        platform=make_conninfo(primary_superuser_dsn, dbname=TEMPLATE, user=PLATFORM, password=platform_password),
        passwords=passwords,
    )
    if pgml_dsn:
        drop_template(replica_superuser_dsn)  # of a run that was killed
    create_databases(primary_superuser_dsn, replica_superuser_dsn, TEMPLATE, template="template1")
    demo.create_platform(made.platform)
    if pgml_dsn:
        provide_extension(made.replica)
    deployment.prepare(made.primary, made.replica, passwords=passwords, progress=lambda _: None)
    yield made
    if pgml_dsn:
        drop_template(replica_superuser_dsn)


@pytest.fixture(scope="session")
def new_pair(
    primary_superuser_dsn: str, replica_superuser_dsn: str, template: Installation
) -> Callable[..., contextlib.AbstractContextManager[Installation]]:
    """Makes a pair of databases, the replica not subscribed yet; `prepared=False`: with nothing in them."""

    @contextlib.contextmanager
    def pair(*, prepared: bool = True) -> Iterator[Installation]:
        name = f"foresight_{secrets.token_hex(4)}"
        made = Installation(
            primary=make_conninfo(template.primary, dbname=name),
            replica=make_conninfo(template.replica, dbname=name),
            platform=make_conninfo(template.platform, dbname=name),
            passwords=template.passwords,
        )
        source = TEMPLATE if prepared else "template1"
        create_databases(primary_superuser_dsn, replica_superuser_dsn, name, template=source)
        try:
            yield made
        finally:
            drop_databases(primary_superuser_dsn, replica_superuser_dsn, name)

    return pair


@pytest.fixture(scope="session")
def new_postgresml(
    new_pair: Callable[..., contextlib.AbstractContextManager[Installation]], pgml_dsn: str | None
) -> Callable[[], contextlib.AbstractContextManager[Installation]]:
    """Makes a pair of databases without Foresight, the replica with PostgresML: that of --pgml-dsn, or a stand-in."""

    @contextlib.contextmanager
    def pair() -> Iterator[Installation]:
        with new_pair(prepared=False) as made:
            demo.create_platform(made.platform)
            provide_extension(made.replica) if pgml_dsn else postgresml.stand_in(made.replica)
            if not postgresml.is_there(made.replica):
                pytest.skip("--pgml-dsn names a server without PostgresML")
            yield made

    return pair


@pytest.fixture(scope="module")
def installed(new_pair: Callable[..., contextlib.AbstractContextManager[Installation]]) -> Iterator[Installation]:
    """A pair of databases of the module's own, without clients, the replica subscribed to the primary."""
    with new_pair() as made:
        made.install()
        yield made


def provide_extension(replica: str) -> None:
    """The server's own pgml, where it is an extension; our scripts are run by set-up."""
    with psycopg.connect(replica) as connection:
        if connection.execute("select from pg_available_extensions where name = 'pgml'").rowcount:
            connection.execute("create extension if not exists pgml cascade")


def drop_template(replica: str) -> None:
    with psycopg.connect(replica, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(TEMPLATE)))


def create_databases(primary: str, replica: str, name: str, *, template: str) -> None:
    login = str(conninfo_to_dict(replica)["user"])
    for dsn, owner in ((primary, PLATFORM), (replica, login)):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                sql.SQL("create database {} template {} owner {}").format(
                    sql.Identifier(name), sql.Identifier(template), sql.Identifier(owner)
                )
            )


def drop_databases(primary: str, replica: str, name: str) -> None:
    """The subscription first: a database that has one cannot be dropped, and its slot holds the other one."""
    with psycopg.connect(make_conninfo(replica, dbname=name), autocommit=True) as connection:
        connection.execute(sql.SQL("drop subscription if exists {}").format(sql.Identifier(SUBSCRIPTION)))
    for dsn in (replica, primary):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
