"""A primary and a replica with everything of Foresight's in them, and rows of the platform's to put there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from include.foresight import deployment, replication
from include.foresight.database import PRIMARY, REPLICA, Databases
from include.foresight.deployment import Passwords


@dataclass(frozen=True)
class Installation:
    """`primary` and `replica` are conninfos of a superuser, `platform` of the role that owns the platform's tables."""

    primary: str
    replica: str
    platform: str
    passwords: Passwords

    @property
    def for_replica(self) -> str:
        """How the replica reaches the primary."""
        return make_conninfo(self.primary, user=deployment.REPLICATION, password=self.passwords.replication)

    def app(self, conn_id: str) -> str:
        """The conninfo of the application's login."""
        place = {PRIMARY: self.primary, REPLICA: self.replica}[conn_id]
        return make_conninfo(place, user=deployment.APP, password=self.passwords.app)

    @property
    def databases(self) -> Databases:
        return Databases(lambda conn_id: psycopg.connect(self.app(conn_id)))

    def install(self) -> list[str]:
        """Set-up, again; the lines that it said."""
        said: list[str] = []
        deployment.install(
            self.primary,
            self.replica,
            replication_dsn_for_replica=self.for_replica,
            passwords=self.passwords,
            progress=said.append,
        )
        return said

    def insert(self, table: str, rows: Mapping[str, Any] | list[Mapping[str, Any]]) -> list[int]:
        """Rows (of the same columns) of one of the platform's tables, written as the platform's role; their ids."""
        rows = [rows] if isinstance(rows, Mapping) else rows
        columns = list(rows[0])
        query = sql.SQL("insert into {} ({}) values ({}) returning id").format(
            sql.Identifier("public", table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(map(sql.Placeholder, columns)),
        )
        with psycopg.connect(self.platform) as connection:
            return [connection.execute(query, row).fetchone()[0] for row in rows]

    def add_client(self, client_id: int, name: str | None = None, **registry: Any) -> int:
        """A client of the platform's, registered (with these values in ml.clients) and provisioned on both sides."""
        self.insert("clients", {"id": client_id, "name": name or f"Client {client_id}"})
        values = {
            "client_id": client_id,
            "slug": f"client_{client_id}",
            "name": name or f"Client {client_id}",
        } | registry
        query = sql.SQL("insert into ml.clients ({}) values ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(map(sql.Placeholder, values))
        )
        with psycopg.connect(self.primary) as connection:
            connection.execute(query, values)
        deployment.provision(self.primary, self.replica, client_id)
        return client_id

    def catch_up(self, patience: float = 60) -> None:
        """Wait until the replica shows everything that is committed on the primary."""
        with self.databases.session(PRIMARY) as primary, primary.as_fleet() as fleet:
            beat = replication.beat(fleet)
        deadline = time.monotonic() + patience
        with self.databases.session(REPLICA) as replica:
            while True:
                with replica.as_fleet() as fleet:
                    if replication.seen(fleet, beat):
                        return
                assert time.monotonic() < deadline, f"the replica does not show the heartbeat {beat} after {patience} s"
                time.sleep(0.01)

    def superuser(self) -> psycopg.Connection:
        """A superuser's connection to the primary; leaving its block commits."""
        return psycopg.connect(self.primary)

    def on_replica(self) -> psycopg.Connection:
        return psycopg.connect(self.replica)

    def dicts(self, place: str, query: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        with psycopg.connect(place, row_factory=dict_row) as connection:
            return connection.execute(query, values).fetchall()

    def rows(self, place: str, query: str, values: Mapping[str, Any] | None = None) -> list[tuple]:
        """What a query gives to the role of a conninfo."""
        with psycopg.connect(place) as connection:
            return connection.execute(query, values).fetchall()
