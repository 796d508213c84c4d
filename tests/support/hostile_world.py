"""Clients whose every name, number and moment tells whose it is, so that a leak shows in any answer.

Texts carry a word of the client's own, ids lie in a range of its own, and every table that has a column for a client
has a row of each: what no hand has filled is filled from the catalogue, so a table that is made tomorrow is too.
"""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from include.foresight import api_keys, features, inspection, model_specs, names, pgml
from include.foresight.database import PRIMARY, REPLICA, Session
from tests.support.installation import Installation

MODELS = ("complexity", "rework", "trajectory")
ISSUES = 40
START = datetime.datetime(2026, 1, 1)
# Keys that every client has: what is mixed up shows by its value.
SHARED = ("SHARED-1", "SHARED-2")
REPOSITORY = "shared/code"
SHARES = ((2, 0), (1, 2))


@dataclass(frozen=True)
class Tenant:
    """`client_id` is the first of the ids that are its own; `word` stands in its texts; `points` is what its issues
    are worth, and so what its model says."""

    client_id: int
    word: str
    points: int

    @property
    def slug(self) -> str:
        return f"{self.word}_client"

    @property
    def role(self) -> str:
        return names.client_role(self.client_id)

    @property
    def schema(self) -> str:
        return names.client_schema(self.client_id)

    def keys(self) -> list[str]:
        return [f"{self.word.upper()}-{n}" for n in range(ISSUES)]

    @property
    def ids(self) -> str:
        return str(self.client_id)[:3]

    def marks(self, *, with_ids: bool = True) -> re.Pattern[str]:
        """Its word, its uuids and its ids. The catalogue names roles and schemas by id: `with_ids=False` there."""
        ids = rf"|(?<![0-9.]){self.ids}[0-9]{{6}}(?![0-9])|\b{self.ids}00000-" if with_ids else ""
        return re.compile(rf"{self.word}{ids}", re.IGNORECASE)

    def uuid(self, chance: random.Random) -> UUID:
        return UUID(f"{self.ids}00000-{chance.getrandbits(96):024x}")


@dataclass
class World:
    installed: Installation
    tenants: tuple[Tenant, ...]
    keys: dict[int, str]
    models: dict[tuple[int, str], int]
    login_password: str
    # Who shares its first model with whom: only our own engine can.
    shares: tuple[tuple[int, int], ...]

    def other(self, tenant: Tenant) -> Tenant:
        """Who is attacked: shares nothing with the attacker."""
        return self.tenants[1] if tenant is self.tenants[0] else self.tenants[0]

    def sharers(self, tenant: Tenant) -> list[Tenant]:
        """Who has shared a model with it."""
        return [self.tenants[owner] for owner, reader in self.shares if self.tenants[reader] is tenant]

    def place(self, side: str) -> str:
        return self.installed.primary if side == PRIMARY else self.installed.replica

    def login(self, tenant: Tenant, side: str) -> psycopg.Connection:
        """A person's login that is a member of one client's role and of nothing else."""
        connection = psycopg.connect(
            self.place(side), user=login_name(tenant), password=self.login_password, autocommit=True
        )
        connection.execute("set client_min_messages to error")
        # A call that takes the server with it is a finding too: `refused` tells.
        connection.execute("set statement_timeout to '20s'")
        return connection


def login_name(tenant: Tenant) -> str:
    return f"login_of_{tenant.client_id}"


def make(installed: Installation, seed: int, first: int = 0) -> World:
    """Three clients. The third shares its models with the first, as pgml.share_project allows. `first`: clients of
    earlier worlds on these servers."""
    chance = random.Random(seed)
    tenants = tuple(
        Tenant((710 + first + n) * 1_000_000, f"zq{'xyw'[n]}{chance.getrandbits(24):06x}", points)
        for n, points in enumerate((2, 50, 400))
    )
    with psycopg.connect(installed.replica) as replica:
        ours = inspection.look("replica", replica).engine_name.startswith("ours")
    made = World(installed, tenants, {}, {}, f"p{chance.getrandbits(64):x}", SHARES if ours else ())
    for tenant in tenants:
        number_from(installed.primary, tenant.client_id)
        number_from(installed.replica, tenant.client_id)
        installed.add_client(tenant.client_id, f"{tenant.word} company", slug=tenant.slug)
        history(installed, tenant)
    installed.catch_up()
    for tenant in tenants:
        number_from(installed.replica, tenant.client_id)
        number_from(installed.primary, tenant.client_id)
        with installed.databases.session(REPLICA) as replica:
            for model in MODELS:
                made.models[tenant.client_id, model] = train(made, replica, tenant, model, chance)
        for side in (PRIMARY, REPLICA):
            make_login(made, tenant, side)
    share(made)
    for tenant in tenants:
        fill(made, tenant, chance)
        with installed.databases.primary() as primary:
            made.keys[tenant.client_id] = api_keys.issue(primary, f"{tenant.word} service", [tenant.client_id])
    installed.catch_up()
    return made


def number_from(place: str, first: int) -> None:
    """Every sequence goes on at `first`: ids that are given from now on tell whose they are."""
    with psycopg.connect(place) as connection:
        found = connection.execute(
            "select schemaname, sequencename, seqtypid::regtype::text from pg_sequences join pg_sequence"
            " on seqrelid = format('%I.%I', schemaname, sequencename)::regclass"
            " where schemaname in ('public', 'ml', 'pgml')"
        ).fetchall()
        for schema, name, _ in found:
            connection.execute(
                "select setval(format('%%I.%%I', %s::text, %s::text)::regclass, %s)", [schema, name, first + 1000]
            )


def history(installed: Installation, tenant: Tenant) -> None:
    mine: dict[str, Any] = {"client_id": tenant.client_id}
    word = tenant.word
    [project] = installed.insert("projects", {"key": word, "name": word, **mine})
    [repository] = installed.insert("repositories", {"name": word, "full_name": REPOSITORY, **mine})
    story, epic = installed.insert(
        "issuetypes",
        [{"original_name": kind, "hierarchy_level": level, **mine} for kind, level in (("Story", 0), ("Epic", 1))],
    )
    installed.insert("issuetype_mappings", {"issuetype_from": f"{word} type", "issuetype_to": "Story", **mine})
    [mapping] = installed.insert(
        "status_mappings", {"status_from": "To Do", "status_to": "To Do", "status_category": "To Do", **mine}
    )
    [status] = installed.insert(
        "statuses", {"original_name": "To Do", "status_mapping_id": mapping, "category": "To Do", **mine}
    )
    installed.insert(
        "issues",
        [
            {
                "key": key,
                "external_id": f"{word}{n}",
                "project_id": project,
                "issuetype_id": epic if key.startswith("EPIC") else story,
                "status_id": status,
                "summary": f"The {word} of summary {n} {'login' if n % 2 else 'export'}",
                "custom_field_01": f"{word} described",
                "story_points": tenant.points,
                "assignee": f"{word} person",
                "created": START + datetime.timedelta(hours=n),
                **mine,
            }
            for n, key in enumerate([*tenant.keys(), *SHARED, "EPIC-1", f"EPIC-{word}"])
        ],
    )
    installed.insert(
        "pull_requests",
        [
            {
                "number": number,
                "name": f"{word} title {number}",
                "user_name": f"{word} author",
                "repository_id": repository,
                "status": "open",
                "pr_created_at": START + datetime.timedelta(hours=number % 1000),
                "commit_count": 1 + number % 7,
                "additions": 30,
                "deletions": 3,
                "changed_files": 2,
                **mine,
            }
            for number in [1, 2, *range(tenant.client_id, tenant.client_id + 30)]
        ],
    )


def train(world: World, replica: Session, tenant: Tenant, model: str, chance: random.Random) -> int:
    """A model of the client's own that serves it; the label is the client's points, so its answers tell whose it is."""
    spec, as_of = model_specs.read(model), START + datetime.timedelta(days=60)
    table = sql.Identifier(tenant.schema, f"{model}_{tenant.ids}00000")
    with replica.as_client(tenant.client_id) as tx:
        used = features.score(tx, spec, tenant.client_id, as_of)
        label = "(n % 2)::float8" if spec.task == "classification" else f"ln({tenant.points + 1}) + (n % 3) * 0.01"
        tx.connection.execute(
            sql.SQL("create table {} as select {}, " + label + " as {} from generate_series(1, 60) as n").format(
                table,
                sql.SQL(", ").join(
                    sql.SQL("(n * 7919 % 101)::real as {}").format(sql.Identifier(name)) for name in used
                ),
                sql.Identifier(pgml.LABEL),
            )
        )
    trained = pgml.train(
        world.installed.databases,
        REPLICA,
        tenant.client_id,
        project=names.project(spec.project_name, tenant.client_id, spec.version),
        task=spec.task,
        relation=f"{tenant.schema}.{model}_{tenant.ids}00000",
        algorithm="linear",
        hyperparams={},
        test_rows=15,
        limit=60,
        session=replica,
    )
    champion = {
        "client_id": tenant.client_id,
        "model": model,
        "version": 1,
        "rung": "linear",
        "model_uuid": tenant.uuid(chance),
        "model_name": names.project(spec.project_name, tenant.client_id, spec.version),
        "replica_conn_id": REPLICA,
        "pgml_model_id": trained.model_id,
        "feature_hash": features.feature_hash(used),
    }
    with psycopg.connect(world.installed.primary) as connection:
        insert(connection, "ml", "champions", champion)
    return trained.model_id


def share(world: World) -> None:
    """The third's first project is shared with the first; the second's with the third, so that the table that says
    so has a row of everybody's that a client may attack."""
    spec = model_specs.read("complexity")
    for owner, reader in world.shares:
        tenant = world.tenants[owner]
        with world.installed.databases.session(REPLICA) as replica, replica.as_client(tenant.client_id) as tx:
            project = names.project(spec.project_name, tenant.client_id, spec.version)
            tx.connection.execute("select pgml.share_project(%s, %s)", [project, world.tenants[reader].role])


def make_login(world: World, tenant: Tenant, side: str) -> None:
    name = sql.Identifier(login_name(tenant))
    with psycopg.connect(world.place(side)) as connection:
        if not connection.execute("select from pg_roles where rolname = %s", [login_name(tenant)]).rowcount:
            connection.execute(sql.SQL("create role {} login").format(name))
        connection.execute(sql.SQL("alter role {} password {}").format(name, sql.Literal(world.login_password)))
        connection.execute(sql.SQL("grant {} to {}").format(sql.Identifier(tenant.role), name))
        connection.execute(
            sql.SQL("grant connect on database {} to {}").format(sql.Identifier(connection.info.dbname), name)
        )


def remove_logins(world: World) -> None:
    for tenant in world.tenants:
        for side in (PRIMARY, REPLICA):
            with psycopg.connect(world.place(side)) as connection:
                name = sql.Identifier(login_name(tenant))
                connection.execute(sql.SQL("drop owned by {}").format(name))
                connection.execute(sql.SQL("drop role {}").format(name))


def insert(connection: psycopg.Connection, schema: str, table: str, row: dict[str, Any]) -> None:
    connection.execute(
        sql.SQL("insert into {} ({}) overriding system value values ({})").format(
            sql.Identifier(schema, table),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(map(sql.Placeholder, row)),
        ),
        row,
    )


COLUMNS = """
select
    a.attname::text as name,
    format_type(a.atttypid, null) as kind,
    coalesce((
        select (regexp_match(pg_get_constraintdef(k.oid), '''([^'']+)''::text'))[1]
        from pg_constraint as k
        where k.conrelid = a.attrelid and k.contype = 'c' and a.attnum = any(k.conkey) and cardinality(k.conkey) = 1
            and pg_get_constraintdef(k.oid) like '%%ARRAY[%%'
        limit 1
    ), (
        select e.enumlabel::text from pg_enum as e where e.enumtypid = a.atttypid order by e.enumsortorder limit 1
    )) as allowed
from pg_attribute as a
where a.attrelid = format('%%I.%%I', %(schema)s::text, %(table)s::text)::regclass and a.attnum > 0
    and not a.attisdropped and a.attgenerated = ''
order by a.attnum
"""
TABLES = """
select n.nspname::text as schema, c.relname::text as table
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname in ('public', 'ml', 'pgml') and c.relkind in ('r', 'p') and not c.relispartition
order by 1, 2
"""
# Columns that say whose row it is.
WHOSE = {"client_id", "clients", "project_id", "model_id", "snapshot_id"}


def fill(world: World, tenant: Tenant, chance: random.Random) -> None:
    """A row of the client in every table that has none and could have one."""
    for side in (PRIMARY, REPLICA):
        with psycopg.connect(world.place(side), row_factory=dict_row) as connection:
            connection.execute("set session_replication_role to replica")
            for schema, table in tables(connection):
                columns = connection.execute(COLUMNS, {"schema": schema, "table": table}).fetchall()
                if not WHOSE & {column["name"] for column in columns} or has_row(connection, schema, table, tenant):
                    continue
                if side == REPLICA and schema != "pgml" and is_copy(connection, schema, table):
                    continue
                row = {column["name"]: value_of(world, tenant, column, chance) for column in columns}
                insert(connection, schema, table, row)


def tables(connection: psycopg.Connection) -> Iterator[tuple[str, str]]:
    for row in connection.execute(TABLES).fetchall():
        one = tuple(row.values()) if isinstance(row, dict) else row
        yield one[0], one[1]


def is_copy(connection: psycopg.Connection, schema: str, table: str) -> bool:
    return bool(
        connection.execute(
            "select from pg_subscription_rel where srrelid = format('%%I.%%I', %s::text, %s::text)::regclass",
            [schema, table],
        ).rowcount
    )


def has_row(connection: psycopg.Connection, schema: str, table: str, tenant: Tenant) -> bool:
    return owned_rows(connection, schema, table, tenant) > 0


def owned_rows(connection: psycopg.Connection, schema: str, table: str, tenant: Tenant) -> int:
    """How many rows of a table have a mark of the client."""
    query = sql.SQL("select t::text as it from {} as t").format(sql.Identifier(schema, table))
    marks = tenant.marks()
    rows = connection.execute(query).fetchall()
    return sum(bool(marks.search(row["it"] if isinstance(row, dict) else row[0])) for row in rows)


def value_of(world: World, tenant: Tenant, column: dict[str, Any], chance: random.Random) -> Any:
    """Something that such a column takes, with the client's mark where there is room for it."""
    name, kind = column["name"], column["kind"]
    if column["allowed"]:
        return column["allowed"]
    if name == "model_id":
        return world.models[tenant.client_id, MODELS[0]]
    if name == "project_id":
        with psycopg.connect(world.installed.replica) as replica:
            asked = [world.models[tenant.client_id, MODELS[0]]]
            return replica.execute("select project_id from pgml.models where id = %s", asked).fetchone()[0]
    if name == "snapshot_id":
        with psycopg.connect(world.installed.replica) as replica:
            asked = [world.models[tenant.client_id, MODELS[0]]]
            return replica.execute("select snapshot_id from pgml.models where id = %s", asked).fetchone()[0]
    if kind.endswith("[]"):
        return [value_of(world, tenant, column | {"kind": kind[:-2]}, chance)]
    if name == "client_id" or (name == "clients" and kind == "integer"):
        return tenant.client_id
    if kind in ("integer", "bigint"):
        return tenant.client_id + chance.randrange(2000, 900_000)
    if kind == "smallint":
        return 1
    if kind in ("double precision", "real", "numeric"):
        return 0.5
    if kind in ("text", "character varying", "name"):
        return f"{tenant.word}_{name}"
    if kind == "boolean":
        return True
    if kind in ("json", "jsonb"):
        return Jsonb({tenant.word: tenant.client_id})
    if kind == "uuid":
        return tenant.uuid(chance)
    if kind == "bytea":
        return tenant.word.encode()
    if kind.startswith(("timestamp", "date")):
        return START
    if kind == "interval":
        return datetime.timedelta(seconds=1)
    raise AssertionError(
        f"column {name} has type {kind}: say in hostile_world.value_of what a row of a client has there"
    )
