"""A first look at a server, which changes nothing: what it is, what its login may, what of ours it has already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from include.foresight import names
from include.foresight.replication import EXTRA, NEEDED, OPTIONAL, PUBLISHED, missing_tables
from include.foresight.sql import statement

OLDEST_SERVER = 150000

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Look:
    """What one server was found to be. `columns`: {table: {column: type}} of public, as the copies name types;
    `privileges`: (role or 'public', 'database' or a schema, privilege)."""

    side: str
    server: Row
    roles: Mapping[str, Row]
    memberships: Mapping[tuple[str, str], bool]
    privileges: frozenset[tuple[str, str, str]]
    tables: Mapping[str, Row]
    columns: Mapping[str, Mapping[str, str]]
    publications: Mapping[str, Row]
    slots: Mapping[str, Row]
    subscriptions: Mapping[str, Row]
    engine: Row

    @property
    def login(self) -> str:
        return self.server["login"]

    @property
    def is_superuser(self) -> bool:
        return self.server["is_superuser"]

    def may_use(self, role: str) -> bool:
        """Whether the login has what that role has."""
        return self.is_superuser or bool(self.roles.get(role, {}).get("is_ours"))

    def may_give(self, role: str) -> bool:
        """Whether the login may make others members of that role, which it perhaps has yet to make."""
        if self.is_superuser:
            return True
        found = self.roles.get(role)
        if self.server["version"] < 160000 or found is None:
            return self.server["may_create_roles"]
        return found["is_administered"]

    def may_alter(self, role: str) -> bool:
        """Whether the login may change that role: PostgreSQL 15 keeps those with REPLICATION to superusers."""
        found = self.roles.get(role, {})
        guarded = self.server["version"] < 160000 and found.get("replication", False)
        return self.is_superuser or (self.may_give(role) and not guarded)

    def may_attribute(self, attribute: str) -> bool:
        """Whether the login may give a role `bypassrls` or `replication`."""
        if self.is_superuser:
            return True
        own = {"bypassrls": "bypasses_policies", "replication": "may_replicate"}[attribute]
        return self.server["version"] >= 160000 and self.server["may_create_roles"] and self.server[own]

    def has_attribute(self, role: str, attribute: str) -> bool:
        found = self.roles.get(role, {})
        # A managed server replicates through membership: Amazon RDS.
        managed = attribute == "replication" and (role, "rds_replication") in self.memberships
        return bool(found.get(attribute)) or managed

    def allows(self, role: str, place: str, privilege: str) -> bool:
        return not {(role, place, privilege), ("public", place, privilege)}.isdisjoint(self.privileges)

    @property
    def engine_name(self) -> str:
        """'postgresml', 'ours', 'ours as extension', or 'none'."""
        match self.engine["language"], self.engine["extension"]:
            case None, None:
                return "none"
            case "plpython3u", None:
                return "ours"
            case "plpython3u", _:
                return "ours as extension"
        return "postgresml"

    @property
    def engine_to_install(self) -> str | None:
        """Which pgml set-up installs where there is none, by the same names; None: there is nothing to make it of.
        PL/Python in a process that has loaded PostgresML's Python ends the server."""
        if self.engine["available"] and not self.engine["available_is_ours"]:
            return "postgresml"
        if self.engine["is_preloaded"] or not self.engine["has_plpython"]:
            return None
        return "ours as extension" if self.engine["available"] and not self.is_superuser else "ours"


def look(side: str, connection: psycopg.Connection) -> Look:
    """Reads catalogues only, which any login may."""
    cursor = connection.cursor(row_factory=dict_row)

    def rows(query: sql.Composed, values: Row | None = None) -> list[Row]:
        return cursor.execute(query, values).fetchall()

    def named(query: sql.Composed, values: Row | None = None) -> dict[str, Row]:
        return {row["name"]: row for row in rows(query, values)}

    (server,) = rows(statement("inspection/server"))
    roles = named(statement("inspection/roles"))
    granted = rows(
        statement("inspection/privileges"), {"roles": [name for name in roles if name.startswith("foresight_")]}
    )
    (engine,) = rows(statement("inspection/engine"))
    tables = {"tables": list(PUBLISHED)}
    columns: dict[str, dict[str, str]] = {}
    of_side = statement("replication/source_columns" if side == "primary" else "replication/copy_columns")
    for row in rows(of_side, tables):
        columns.setdefault(row["table_name"], {})[row["column_name"]] = row["type"]
    return Look(
        side,
        server,
        roles,
        {(row["member"], row["name"]): row["admin"] for row in rows(statement("inspection/memberships"))},
        frozenset((row["name"], row["object"], row["privilege"]) for row in granted),
        named(statement("inspection/tables"), tables),
        columns,
        named(statement("inspection/publications")),
        named(statement("inspection/slots")),
        named(statement("inspection/subscriptions")),
        engine,
    )


def problems(primary: Look, replica: Look) -> list[str]:
    """Why these two cannot be set up, each with what to do about it."""
    found = []
    for one in (primary, replica):
        if one.server["version"] < OLDEST_SERVER:
            found.append(f"the {one.side} is PostgreSQL {one.server['version_text']}; 15 is the oldest that will do")
        if one.server["owner_of_ml"] not in (None, names.OWNER):
            found.append(
                f"schema ml of the {one.side} belongs to {one.server['owner_of_ml']}: Foresight needs that name"
            )
    if primary.server["wal_level"] != "logical":
        found.append(
            f"the primary runs with wal_level = {primary.server['wal_level']}: set it to logical "
            "(alter system set wal_level = logical; on managed servers by a parameter) and restart the server"
        )
    if primary.server["identity"] == replica.server["identity"]:
        found.append(
            "primary and replica are one server, and a subscription to oneself waits for ever: "
            "the replica needs a server of its own"
        )
    without_engine = replica.engine_name == "none" and not replica.engine_to_install
    if replica.engine["is_preloaded"] and (replica.engine_name.startswith("ours") or without_engine):
        found.append(
            "the replica has PostgresML's library in shared_preload_libraries, and our engine beside it would end the "
            "server: take pgml out of shared_preload_libraries and restart the server, or have PostgresML's extension "
            "there (and no other pgml in the database)"
        )
    elif without_engine:
        found.append(
            "the replica has no pgml and nothing to make it of: install PL/Python (Debian's package "
            "postgresql-plpython3-NN) and our engine, or PostgresML, on its machine"
        )
    missing = missing_tables(primary.tables)
    if missing:
        found.append(f"the platform's schema public has no table {', '.join(missing)}")
    keyless = [name for name, one in primary.tables.items() if not one["has_key"]]
    if keyless:
        found.append(
            f"table {', '.join(sorted(keyless))} of the primary has no primary key: "
            "publishing it would make its updates fail"
        )
    silent = [name for name, one in primary.tables.items() if one["has_key"] and one["identity"] == "nothing"]
    if silent:
        found.append(
            f"table {', '.join(sorted(silent))} of the primary has replica identity nothing: publishing it would make "
            "its updates fail; its owner must set it to default"
        )
    for name, columns in primary.columns.items():
        lacking = [column for column in NEEDED if column not in columns and (name, column) != ("clients", "client_id")]
        if lacking:
            found.append(f"table {name} of the primary has no column {', '.join(lacking)}, which tells clients apart")
    found += [
        f"table {name} of the replica belongs to {one['owner']}: it must be {names.OWNER}'s, or not be there"
        for name, one in replica.tables.items()
        if one["owner"] != names.OWNER
    ]
    return found


def absent(primary: Look) -> dict[str, list[str]]:
    """Columns that Foresight reads and the primary lacks; the copies have them, empty."""
    found = {
        name: [column for column in columns if column not in primary.columns[name]]
        for name, columns in EXTRA.items()
        if name in primary.columns
    }
    return {name: columns for name, columns in found.items() if columns}


def drift(source: Mapping[str, Mapping[str, str]], copies: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Where the platform's tables have moved on from their copies: replication stops at a column that is missing, and
    at a value that does not fit. Columns that the platform has dropped do no harm."""
    found = []
    for name, columns in copies.items():
        there = source.get(name)
        if there is None:
            if name not in OPTIONAL:
                found.append(f"table {name} is gone from the primary; its copy stays as it was")
            continue
        for column, kind in there.items():
            if column not in columns:
                found.append(f"{name}.{column} ({kind}) is new on the primary and stops its copy: attach adds it")
            elif columns[column] != kind:
                found.append(
                    f"{name}.{column} is {kind} on the primary and {columns[column]} in its copy: "
                    "values that do not fit stop it: attach changes it"
                )
    return found


ENGINES = {
    "none": "none",
    "ours": "ours, installed by its scripts",
    "ours as extension": "ours, as an extension",
    "postgresml": "PostgresML",
}


def report(primary: Look, replica: Look) -> list[str]:
    """What was found, in words."""
    lines = []
    for one in (primary, replica):
        server = one.server
        able = [
            word
            for word, has in {
                "superuser": one.is_superuser,
                "may make roles": server["may_create_roles"],
                "BYPASSRLS": server["bypasses_policies"],
                "REPLICATION": server["may_replicate"],
                "may make schemas": server["may_create"],
                "owns the database": server["owns_database"],
            }.items()
            if has
        ]
        lines.append(
            f"{one.side}: PostgreSQL {server['version_text']}, database {server['database']}, "
            f"wal_level {server['wal_level']}"
        )
        lines.append(f"{one.side}: login {one.login}: {', '.join(able) or 'no privilege of its own'}")
        ours = sorted(name for name in one.roles if name.startswith("foresight_") or name == "pgml_user")
        lines.append(f"{one.side}: roles of ours: {_list(ours)}")
    lines += _of_primary(primary)
    lines += _of_replica(replica)
    if replica.columns:
        lines += drift(primary.columns, replica.columns)
    return lines


def _of_primary(primary: Look) -> list[str]:
    server = primary.server
    lines = [
        f"primary: logical slots {len(primary.slots)}, at most {server['slots']}, "
        f"WAL senders at most {server['wal_senders']}, max_slot_wal_keep_size {server['slot_limit']}"
    ]
    if server["slot_limit"] == "-1":
        lines.append("primary: without max_slot_wal_keep_size a replica that stays away fills the disk with WAL")
    for name in PUBLISHED:
        if name in primary.tables:
            one = primary.tables[name]
            policies = ", row-level security" if one["has_policies"] else ""
            lines.append(
                f"primary: {name}: owner {one['owner']}{'' if one['is_ours'] else ' (the login is not)'}, "
                f"{'primary key' if one['has_key'] else 'NO PRIMARY KEY'}, replica identity {one['identity']}{policies}"
            )
    missing = absent(primary)
    for name, columns in EXTRA.items():
        if name in primary.columns:
            present = [column for column in columns if column in primary.columns[name]]
            lines.append(
                f"primary: {name}: present {len(present)} of {len(columns)} columns that are read; "
                f"absent: {_list(missing.get(name, []))}"
            )
    for one in primary.publications.values():
        lines.append(f"primary: publication {one['name']} of {one['owner']}: {len(one['tables'])} tables")
    for one in primary.slots.values():
        state = "read" if one["active"] else "NOT READ"
        lines.append(f"primary: slot {one['name']}: {state}, WAL {one['wal_status']}")
    return lines


def _of_replica(replica: Look) -> list[str]:
    engine = replica.engine
    version = f" {engine['extension']}" if engine["extension"] else ""
    lines = [f"replica: pgml: {ENGINES[replica.engine_name]}{version}"]
    if engine["extension"] and engine["available"] != engine["extension"]:
        lines.append(f"replica: extension pgml {engine['available']} is installed there: alter extension pgml update")
    if replica.engine_name == "none":
        lines.append(f"replica: extension pgml to be had: {engine['available'] or 'no'}")
        lines.append(f"replica: pgml would be: {ENGINES[replica.engine_to_install or 'none']}")
        lines.append(f"replica: PL/Python to be had: {'yes' if engine['has_plpython'] else 'no'}")
    copies = [name for name in PUBLISHED if name in replica.tables]
    lines.append(f"replica: copies {len(copies)} of {len(PUBLISHED)}")
    for one in replica.subscriptions.values():
        state = "enabled" if one["enabled"] else "DISABLED"
        lines.append(f"replica: subscription {one['name']} of {one['owner']}, slot {one['slot']}: {state}")
    return lines


def _list(words: Sequence[str]) -> str:
    return ", ".join(words) or "none"
