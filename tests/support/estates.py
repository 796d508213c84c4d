"""Servers that somebody else has made, with a login for us that is no superuser."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

import demo
from include.foresight.database import PRIMARY, REPLICA, Databases
from include.foresight.deployment import APP
from launcher import attach, cli
from launcher.attach import Servers as Pair
from tests.support import postgresml
from tests.support.definitions import dump, roles, run_script
from tests.support.servers import Servers

ADMIN, DATABASE = "rds_admin", "shop"


@dataclass(frozen=True)
class Estate:
    """Two servers: `primary` and `replica` are conninfos of a superuser, `ours` those of the login that we get."""

    primary: str
    replica: str
    ours: Pair
    platform: str
    folder: Path
    before: tuple

    def state(self) -> tuple:
        return tuple([dump(one), roles(one)] for one in (self.primary, self.replica))

    def run(self, *words: str) -> tuple[int, str]:
        """A command of the launcher: its exit code and what it printed."""
        place = ["--primary", self.ours.primary, "--replica", self.ours.replica]
        done = CliRunner().invoke(cli.app, [words[0], *place, *words[1:]])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    def attach(self, *words: str) -> tuple[int, str]:
        return self.run("attach", "--env-file", str(self.folder / "foresight.env"), "--sql", str(self.folder), *words)

    def administer(self) -> list[str]:
        """Run what was left to an administrator; the sides that had something."""
        ran = []
        for side, place in (("primary", self.primary), ("replica", self.replica)):
            path = self.folder / f"{side}.sql"
            if path.exists():
                run_script(place, path)
                path.unlink()
                ran.append(side)
        return ran

    def databases(self) -> Databases:
        password = attach.known_passwords(self.folder / "foresight.env")[APP]
        places = {PRIMARY: self.primary, REPLICA: self.replica}
        return Databases(lambda name: psycopg.connect(make_conninfo(places[name], user=APP, password=password)))


@contextlib.contextmanager
def make(folder: Path, *, with_postgresml: bool = False) -> Iterator[Estate]:
    """Two servers of one shop with two clients; in the replica's database a stand-in for PostgresML, if wanted."""
    servers = Servers()
    try:
        servers.start()
        words = {name: secrets.token_urlsafe(12) for name in (ADMIN, "platform")}
        for cluster in (servers.primary, servers.replica):
            with psycopg.connect(cluster.conninfo(), autocommit=True) as connection:
                for name, rights in ((ADMIN, "createrole createdb"), ("platform", "")):
                    connection.execute(
                        sql.SQL("create role {} login {} password {}").format(
                            sql.Identifier(name), sql.SQL(rights), sql.Literal(words[name])
                        )
                    )
                connection.execute("create database shop owner rds_admin")
        primary, replica = servers.primary.conninfo(DATABASE), servers.replica.conninfo(DATABASE)
        with psycopg.connect(primary) as connection:
            connection.execute("grant create on schema public to platform")
        platform = make_conninfo(primary, user="platform", password=words["platform"])
        demo.create_platform(platform)
        with psycopg.connect(platform) as connection:
            connection.execute("alter table issues drop column comment_count, drop column assignee_id")
            connection.execute("insert into clients (name) values ('One'), ('Two')")
            connection.execute(
                "insert into issues (client_id, key, summary)"
                " select 1 + n % 2, 'K-' || n, 'x' from generate_series(1, 40) as n"
            )
        if with_postgresml:
            postgresml.stand_in(replica)
        ours = Pair(*(make_conninfo(one, user=ADMIN, password=words[ADMIN]) for one in (primary, replica)))
        made = Estate(primary, replica, ours, platform, folder, ())
        yield replace(made, before=made.state())
    finally:
        servers.destroy()
