"""The walls of isolation, taken away one by one: whatever is taken away must be missed by an attack."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import psycopg
from psycopg import sql

from include.foresight import serving
from include.foresight import sql as statements
from include.foresight.database import PRIMARY, REPLICA
from tests.support import hostile
from tests.support.hostile import Findings
from tests.support.hostile_world import SHARED, World

POLICIES = """
select p.schemaname::text, p.tablename::text, p.policyname::text, p.permissive, p.roles::text[], p.cmd, p.qual,
    p.with_check
from pg_policies as p where p.schemaname in ('ml', 'public', 'pgml') order by 1, 2, 3
"""
VIEWS = """
select n.nspname::text, c.relname::text from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where n.nspname in ('ml', 'pgml') and c.relkind = 'v' and c.relowner <> 0
    and has_table_privilege('foresight_clients', c.oid, 'select')
order by 1, 2
"""
PGML_VIEWS = VIEWS.replace("'foresight_clients'", "'pgml_user'").replace("('ml', 'pgml')", "('pgml')")


@dataclass(frozen=True)
class Mutant:
    """`wrong` opens something, `right` closes it again, `opened` are the relations that the attacks are aimed at."""

    name: str
    side: str
    wrong: tuple[sql.Composable, ...]
    right: tuple[sql.Composable, ...]
    opened: frozenset[str]
    control: bool = False

    def found(self, world: World) -> bool:
        place = world.place(self.side)
        with psycopg.connect(place, autocommit=True) as superuser:
            try:
                for query in self.wrong:
                    superuser.execute(query)
                seen = Findings()
                for attacker in world.tenants[:2]:
                    hostile.sql_attacks(world, seen, attacker, self.side, only=set(self.opened))
                    if seen.leaks:
                        return True
                return self.control and not makes_its_own(world)
            finally:
                for query in self.right:
                    superuser.execute(query)


def makes_its_own(world: World) -> bool:
    """Whether a client can still make a project and a snapshot: a policy that only permits is missed by its owner."""
    with world.login(world.tenants[0], REPLICA) as connection:
        for query in (
            "insert into pgml.projects (name, task) values ('a control', 'regression')",
            "insert into pgml.snapshots (relation_name, y_column_name, test_size, test_sampling, status)"
            " values ('r', '{y}', 0.5, 'last', 'created')",
        ):
            if hostile.refused(connection, sql.SQL(query))[2] is not None:
                return False
    return True


def database_mutants(world: World) -> list[Mutant]:
    """Every policy opened to everybody (a restrictive one dropped), every view run as its owner, grants, functions."""
    made: list[Mutant] = []
    for side in (PRIMARY, REPLICA):
        with psycopg.connect(world.place(side)) as superuser:
            for row in superuser.execute(POLICIES).fetchall():
                made.append(of_policy(side, row))
            views = set(superuser.execute(VIEWS).fetchall())
            if side == REPLICA:
                views |= set(superuser.execute(PGML_VIEWS).fetchall())
            for schema, view in sorted(views):
                at = sql.Identifier(schema, view)
                made.append(
                    Mutant(
                        f"{side}: view {schema}.{view} runs as its owner",
                        side,
                        (sql.SQL("alter view {} set (security_invoker = false)").format(at),),
                        (sql.SQL("alter view {} set (security_invoker = true)").format(at),),
                        frozenset({f"{schema}.{view}"}),
                    )
                )
    return [*made, *of_grants(world), *of_gateway(world)]


def of_policy(side: str, row: tuple) -> Mutant:
    schema, table, name, permissive, roles, command, qual, check = row
    at, policy = sql.Identifier(schema, table), sql.Identifier(name)
    command = command.lower()
    again = sql.SQL("create policy {} on {} as {} for {} to {}{}{}").format(
        policy,
        at,
        sql.SQL(permissive.lower()),
        sql.SQL(command),
        sql.SQL(", ").join(sql.SQL("public") if one == "public" else sql.Identifier(one) for one in roles),
        sql.SQL(" using (" + qual + ")" if qual else ""),
        sql.SQL(" with check (" + check + ")" if check else ""),
    )
    drop = sql.SQL("drop policy {} on {}").format(policy, at)
    opens = sql.SQL("create policy {} on {} for {} to public{}{}").format(
        policy,
        at,
        sql.SQL(command),
        sql.SQL("" if command == "insert" else " using (true)"),
        sql.SQL("" if command in ("select", "delete") else " with check (true)"),
    )
    # An "insert only" policy that lets everything in walls off nothing: its owner misses it.
    only_permits = roles == ["public"] and (qual or "true") == "true" and (check or "true") == "true"
    group = "pgml_user" if schema == "pgml" else "foresight_clients"
    wrong, right = [drop], [again]
    if permissive == "PERMISSIVE" and not only_permits:
        # The other layer, grants, is switched off as well: by a group of its own, so that taking it back takes nothing
        # else.
        opened = sql.Identifier("hostile_" + schema)
        listed = sql.SQL("select, insert, update, delete" if command == "all" else command)
        wrong += [
            opens,
            sql.SQL("create role {}").format(opened),
            sql.SQL("grant {} on {} to {}").format(listed, at, opened),
            sql.SQL("grant {} to {}").format(opened, sql.Identifier(group)),
        ]
        right = [sql.SQL("drop owned by {}").format(opened), sql.SQL("drop role {}").format(opened), drop, *right]
    return Mutant(
        f"{side}: policy {name} of {schema}.{table}",
        side,
        tuple(wrong),
        tuple(right),
        frozenset({f"{schema}.{table}"}),
        only_permits,
    )


def of_grants(world: World) -> Iterator[Mutant]:
    mine, other = world.tenants[:2]
    role, victim = sql.Identifier(mine.role), sql.Identifier(other.role)
    for side in (PRIMARY, REPLICA):
        for name, group in (("another client", victim), ("the fleet", sql.Identifier("foresight_fleet"))):
            yield Mutant(
                f"{side}: a client is a member of {name}",
                side,
                (sql.SQL("grant {} to {}").format(group, role),),
                (sql.SQL("revoke {} from {}").format(group, role),),
                frozenset({"ml.clients", "ml.api_keys", hostile.ROLES}),
            )
    schema = sql.Identifier(other.schema)
    yield Mutant(
        "replica: another client's schema is open",
        REPLICA,
        (
            sql.SQL("grant usage on schema {} to {}").format(schema, role),
            sql.SQL("grant select on all tables in schema {} to {}").format(schema, role),
        ),
        (
            sql.SQL("revoke select on all tables in schema {} from {}").format(schema, role),
            sql.SQL("revoke usage on schema {} from {}").format(schema, role),
        ),
        frozenset(
            {f"{other.schema}.quarantine", *(f"{other.schema}.{m}_{other.ids}00000" for m in ("complexity", "rework"))}
        ),
    )
    clock = sql.SQL("function ml.data_clock(integer)")
    yield Mutant(
        "replica: a function reads as its owner",
        REPLICA,
        (sql.SQL("alter {} security definer").format(clock),),
        (sql.SQL("alter {} security invoker").format(clock),),
        frozenset({"ml.data_clock"}),
    )


GATEWAY = "ml_pgml.is_own(text)"


def of_gateway(world: World) -> Iterator[Mutant]:
    """What stands between a client and PostgresML's tables, which have no policies."""
    if world.shares:
        return
    with psycopg.connect(world.installed.replica) as superuser:
        (checks,) = superuser.execute("select pg_get_functiondef(%s::regprocedure)", [GATEWAY]).fetchone()
        functions = superuser.execute(
            "select proname::text from pg_proc where pronamespace = 'ml_pgml'::regnamespace and pronargs > 0"
        ).fetchall()
    open_to_all = checks[: checks.index("$function$")] + "$function$ select true $function$"
    every = frozenset(f"ml_pgml.{name}" for (name,) in functions)
    yield Mutant(
        "replica: the gateway takes every project for the caller's",
        REPLICA,
        (sql.SQL(open_to_all),),
        (sql.SQL(checks),),
        every,
    )
    for name, grant in (("erase", "execute on function ml_pgml.erase(integer)"), ("a role", "foresight_pgml")):
        group = sql.SQL("foresight_clients")
        yield Mutant(
            f"replica: clients have the gateway's {name}",
            REPLICA,
            (sql.SQL("grant " + grant + " to {}").format(group),),
            (sql.SQL("revoke " + grant + " from {}").format(group),),
            every | {"pgml.files", hostile.ROLES},
        )
    for table in ("projects", "snapshots", "models", "deployments", "files"):
        at = sql.Identifier("pgml", table)
        yield Mutant(
            f"replica: clients have pgml.{table}",
            REPLICA,
            (
                sql.SQL("grant usage on schema pgml to pgml_user"),
                sql.SQL("grant select, insert on {} to pgml_user").format(at),
            ),
            (
                sql.SQL("revoke all on {} from pgml_user").format(at),
                sql.SQL("revoke all on schema pgml from pgml_user"),
            ),
            frozenset({f"pgml.{table}"}),
        )


@contextlib.contextmanager
def without_policies(world: World) -> Iterator[None]:
    """Layer 2 switched off on the replica's copies and ours: every row is everybody's."""
    with psycopg.connect(world.installed.replica, autocommit=True) as superuser:
        hidden = superuser.execute(
            "select relname::text, relnamespace::regnamespace::text from pg_class where relrowsecurity and"
            " relnamespace::regnamespace::text in ('ml', 'public') order by 1"
        ).fetchall()
        change = sql.SQL("alter table {} {} row level security")
        try:
            for table, schema in hidden:
                superuser.execute(change.format(sql.Identifier(schema, table), sql.SQL("disable")))
            yield
        finally:
            for table, schema in hidden:
                superuser.execute(change.format(sql.Identifier(schema, table), sql.SQL("enable")))


@contextlib.contextmanager
def without_filters() -> Iterator[None]:
    """Layers 1 and 3 switched off: the statements of requests do not say whose rows they want."""
    real = statements.text

    def unfiltered(path: str) -> str:
        text = real(path)
        if path.startswith(("statements/serving/", "statements/promotion/champions")):
            text = text.replace("client_id = %(client_id)s::integer", "true").replace(
                "client_id = %(client_id)s", "true"
            )
        return text

    with patch.object(statements, "text", unfiltered):
        yield


def asked(world: World, ask: Callable, app: Any, *, attacker: int = 0) -> list[str]:
    """What the attacks through the API find, with nothing in the cache."""
    app.state.service.service.predictor._scored.clear()
    app.state.service.service.predictor._excluded.clear()
    found = Findings()
    hostile.api_attacks(world, found, ask, hostile.routes_of(app), world.tenants[attacker], random.Random(1))
    return found.leaks


def layer_mutants(world: World, app: Any, ask: Callable) -> Iterator[tuple[str, bool]]:
    """Each layer alone keeps clients apart, and without both it shows. Name, and whether it was as it should be."""
    # What is answered in advance while a wall is away would be there when it stands again.
    predictor = app.state.service.service.predictor
    predictor.anticipates = False
    with without_policies(world):
        yield "filters alone hold", asked(world, ask, app) == []
    with without_filters():
        yield "policies alone hold", asked(world, ask, app) == []
    with without_policies(world), without_filters():
        yield "no filter and no policy", asked(world, ask, app) != []
    for name, key, leaks in (
        ("the client alone keeps the cache apart", lambda c, s, h, e: (c.client_id, s.model, e["key"]), False),
        ("a cache without the client", lambda c, s, h, e: (s.model, e.get("key") or e["number"]), True),
    ):
        with patch.object(serving, "cache_key", key):
            yield name, crossed(world, ask, app) == leaks
    yield "a dependency that asks nobody", opened(world, app, ask)
    predictor.anticipates = True
    app.state.service.service.predictor._scored.clear()


def crossed(world: World, ask: Callable, app: Any) -> bool:
    """Whether the second client's cached answers reach the first."""
    app.state.service.service.predictor._scored.clear()
    found = Findings()
    for tenant in (world.tenants[1], world.tenants[0]):
        answer = ask(
            "POST", "/api/ml/estimate-complexity", world.keys[tenant.client_id], json={"issue_keys": list(SHARED)}
        )
    hostile.values(found, "cache", answer, world.tenants[0])
    return bool(found.leaks)


def opened(world: World, app: Any, ask: Callable) -> bool:
    from foresight_api.dependencies import Caller, caller

    app.dependency_overrides[caller] = lambda: Caller("anybody", (world.tenants[1].client_id,), False)
    try:
        return asked(world, ask, app) != []
    finally:
        app.dependency_overrides.clear()
