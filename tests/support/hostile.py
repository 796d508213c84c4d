"""Attacks of one client on another: by SQL as a login of one client's role, and through the API.

Nothing here lists tables, functions or routes: each is found where it is, so what is made tomorrow is attacked then.
An attack is counted by its shape: endpoint, attack, identity and target.
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import errors, sql
from scipy import stats

from include.foresight.database import PRIMARY, REPLICA, Databases, is_away
from tests.support import hostile_world
from tests.support.callers import OPEN, ROOT
from tests.support.hostile_world import MODELS, REPOSITORY, SHARED, Tenant, World

# Whether such a row exists can be asked, as in PostgresML: names of projects and their owners are unique in a database.
TELLS_EXISTENCE = {"projects", "snapshots", "project_owners", "snapshot_owners"}
RELATIONS = """
select n.nspname::text, c.relname::text, c.relkind::text
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f') and n.nspname !~ '^pg_(toast|temp)'
    and n.nspname <> 'information_schema'
order by 1, 2
"""
FUNCTIONS = """
select p.oid::regprocedure::text, n.nspname::text, p.proname::text,
    array(select format_type(t, null) from unnest(p.proargtypes) as t)
from pg_proc as p
join pg_namespace as n on n.oid = p.pronamespace
where n.nspname in ('ml', 'ml_pgml', 'pgml', 'public') and p.prokind = 'f' and p.prorettype <> 'trigger'::regtype
order by 1
"""
# Among what to try: other roles.
ROLES = "roles"


@dataclass
class Findings:
    """What was tried, by shape, and what came of it that must not."""

    calls: int = 0
    shapes: set[tuple[str, str, str, str]] = field(default_factory=set)
    leaks: list[str] = field(default_factory=list)

    def tried(self, endpoint: str, attack: str, identity: str, target: str) -> None:
        self.calls += 1
        self.shapes.add((endpoint, attack, identity, target))

    def leak(self, what: str) -> None:
        self.leaks.append(what)


def scan(found: Findings, where: str, said: Any, victims: Iterable[Tenant], *, with_ids: bool = True) -> None:
    """Whether an answer or a text has a mark of somebody else's."""
    text = said if isinstance(said, str) else json.dumps(said, default=str)
    for victim in victims:
        mark = victim.marks(with_ids=with_ids).search(text)
        if mark:
            found.leak(f"{where}: {mark.group()!r} of {victim.slug}")


def refused(
    connection: psycopg.Connection, query: sql.Composable, values: Any = None
) -> tuple[list, int, Exception | None]:
    """Rows, number of rows and error of a statement that is undone in any case."""
    try:
        with connection.transaction(force_rollback=True):
            cursor = connection.execute(query, values)
            return (cursor.fetchall() if cursor.description else []), cursor.rowcount, None
    except psycopg.Error as error:
        return [], 0, error


def sql_attacks(world: World, found: Findings, attacker: Tenant, side: str, only: set[str] | None = None) -> None:
    """Everything that a login of one client can try on one database. `only`: schema.relation or function to try."""
    victim = world.other(attacker)
    identity = "login of one client"
    with world.login(attacker, side) as connection, psycopg.connect(world.place(side)) as superuser:
        connection.execute(sql.SQL("set role {}").format(sql.Identifier(attacker.role)))
        for schema, name, kind in superuser.execute(RELATIONS).fetchall():
            if only is not None and f"{schema}.{name}" not in only:
                continue
            endpoint = f"{side}.{'client schema' if schema.startswith('ml_client_') else schema}"
            others = [one for one in world.tenants if one is not attacker]
            victims = [victim] if schema == "pgml" and world.shares else others
            target = sql.Identifier(schema, name)
            rows, _, error = refused(connection, sql.SQL("select t::text from {} as t").format(target))
            found.tried(endpoint, f"read {kind}", identity, "foreign rows")
            where = f"{side}: select from {schema}.{name} as {attacker.slug}"
            # What was asked for is said again in the refusal.
            said = str(error).replace(schema, "")
            scan(found, where, [rows, said], victims, with_ids=not schema.startswith("pg_"))
            if error is None and schema.startswith("ml_client_") and schema != attacker.schema:
                found.leak(f"{where} is answered")
            if kind in "rpvf" and not schema.startswith("pg_"):
                leaky(found, connection, target, where, victims)
            if kind in "rp" and not schema.startswith("pg_") and schema != attacker.schema:
                writes(world, found, connection, superuser, attacker, victim, (schema, name), endpoint)
        functions(world, found, connection, superuser, attacker, victim, side, only)
        if only is None or ROLES in only:
            roles(world, found, connection, attacker, side)


def leaky(found: Findings, connection: psycopg.Connection, target: sql.Identifier, where: str, victims: list) -> None:
    """A condition that is evaluated before the policy would say what it sees in its error."""
    query = sql.SQL("select from {} as t where cast(left(t::text, 400) as integer) > 0").format(target)
    _, _, error = refused(connection, query)
    found.tried(where.split(":")[0], "leaky condition", "login of one client", "foreign rows")
    scan(found, f"{where} (leaky)", str(error).replace(target.as_string().split(".")[0].strip('"'), ""), victims)


def writes(world, found, connection, superuser, attacker, victim, relation, endpoint) -> None:
    schema, name = relation
    target, identity = sql.Identifier(schema, name), "login of one client"
    own = hostile_world.owned_rows(superuser, schema, name, attacker)
    statements = [("delete", sql.SQL("delete from {}").format(target))]
    columns = superuser.execute(
        "select attname::text, has_column_privilege(%(role)s, attrelid, attname, 'insert'),"
        " has_column_privilege(%(role)s, attrelid, attname, 'update'), attidentity = 'a',"
        " exists (select from pg_index where indrelid = attrelid and indisunique and attnum = any(indkey))"
        " from pg_attribute where attrelid = format('%%I.%%I', %(schema)s::text, %(name)s::text)::regclass"
        " and attnum > 0 and not attisdropped and attgenerated = ''",
        {"role": attacker.role, "schema": schema, "name": name},
    ).fetchall()
    for column in [one[0] for one in columns if one[2] and not one[4]][:1]:
        # A constant and no condition: no policy for reading has a say in it.
        at = sql.Identifier(column)
        constant = superuser.execute(sql.SQL("select {}::text from {} limit 1").format(at, target)).fetchone()
        query = sql.SQL("update {} set {} = {}").format(target, at, sql.Literal(constant[0] if constant else None))
        statements.append(("update", query))
    for attack, query in statements:
        _, count, _ = refused(connection, query)
        found.tried(endpoint, attack, identity, "foreign rows")
        if count > own:
            found.leak(
                f"{endpoint}: {attack} of {schema}.{name} as {attacker.slug} reached {count} rows, {own} are its own"
            )
    stored = superuser.execute(sql.SQL("select row_to_json(t)::text from {} as t").format(target)).fetchall()
    # Of whoever shares models with the attacker rows are seen; they are not written for that.
    foreign = []
    for one in [victim, *(world.sharers(attacker) if schema == "pgml" else ())]:
        marks = one.marks()
        foreign += [(one, row) for (row,) in stored if marks.search(row)][:1]
    given = [one[0] for one in columns if one[1] and not one[3]]
    if not given:
        given = [one[0] for one in columns if not one[3]]
    listed = sql.SQL(", ").join(map(sql.Identifier, given))
    for owner, row in foreign:
        query = sql.SQL("insert into {} ({}) select {} from json_populate_record(null::{}, {}::json)").format(
            target, listed, listed, target, sql.Literal(row)
        )
        _, _, error = refused(connection, query)
        found.tried(endpoint, "insert", identity, "a foreign row" if owner is victim else "a row that is shared")
        if schema == "pgml" and name in TELLS_EXISTENCE:
            continue
        if not isinstance(error, errors.InsufficientPrivilege | errors.RaiseException):
            found.leak(f"{endpoint}: a row of {owner.slug} put into {schema}.{name} by {attacker.slug}: {error}")


def functions(world, found, connection, superuser, attacker, victim, side, only) -> None:
    """Every function, with the victim's names and ids."""
    for signature, schema, name, kinds in superuser.execute(FUNCTIONS).fetchall():
        if only is not None and f"{schema}.{name}" not in only:
            continue
        for model in MODELS[: 1 if name not in ("predict", "explain") else 2]:
            model_id = world.models[victim.client_id, model]
            project = (
                superuser.execute(
                    "select name from pgml.projects where id = (select project_id from pgml.models where id = %s)",
                    [model_id],
                ).fetchone()[0]
                if side == REPLICA
                else victim.word
            )
            # A number beside a text or a list is a size, not an id.
            number = victim.client_id if schema != "pgml" and kinds[:1] == ["integer"] else 8
            number = model_id if schema == "pgml" or (schema == "ml_pgml" and number == 8) else number
            arguments = [argument(kind, number, project) for kind in kinds]
            if name == "train":
                arguments = arguments[:1]
            query = sql.SQL("select t::text from {}({}) as t").format(
                sql.Identifier(schema, name), sql.SQL(", ").join(arguments)
            )
            rows, _, error = refused(connection, query)
            found.tried(f"{side}.{schema} functions", "call", "login of one client", "foreign ids and names")
            if isinstance(error, errors.QueryCanceled) or (error is not None and is_away(error)):
                found.leak(f"{side}: {signature} as {attacker.slug} takes the server: {error}")
            where = f"{side}: {signature} as {attacker.slug}"
            if schema == "pgml" and kinds and kinds[0] in ("bigint", "text") and named(name) and rows:
                found.leak(f"{where} answered for {victim.slug}: {rows[:1]}")
            # Nothing, none and no are what the gateway says of a model that is not the caller's.
            if schema == "ml_pgml" and kinds and any(row[0] not in (None, "0", "false") for row in rows):
                found.leak(f"{where} answered for {victim.slug}: {rows[:1]}")
            if schema == "ml" and kinds == ["integer"] and any(row != (None,) for row in rows):
                found.leak(f"{where} answered for {victim.slug}: {rows[:1]}")
            # What was asked with is said again in the refusal.
            said = (
                str([rows, str(error)])
                .replace(str(model_id), "")
                .replace(project, "")
                .replace(str(victim.client_id), "")
            )
            scan(found, where, said, [victim])


def named(name: str) -> bool:
    return name.lstrip("_").startswith(("predict", "explain", "deploy", "drop", "share", "metrics", "train"))


def argument(kind: str, number: int, name: str) -> sql.Composable:
    if kind in ("bigint", "integer"):
        return sql.SQL("{}::" + kind).format(number)
    if kind in ("text", "name"):
        return sql.SQL("{}::" + kind).format(name)
    if kind == "bytea":
        return sql.SQL("{}::bytea").format(b"\0" * 8)
    if kind in ("bigint[]", "text[]"):
        return sql.SQL("array[{}]::" + kind).format(number if kind == "bigint[]" else name)
    if kind.endswith("[]"):
        return sql.SQL("{}::" + kind).format("{t}" if kind == "boolean[]" else "{1}")
    if kind == "anyelement":
        return sql.SQL("row(1)")
    if kind == "boolean":
        return sql.SQL("true")
    return sql.SQL("null::" + kind)


def roles(world: World, found: Findings, connection: psycopg.Connection, attacker: Tenant, side: str) -> None:
    """Other roles, and objects that shadow ours."""
    victim = world.other(attacker)
    for role in (
        victim.role,
        "foresight_owner",
        "foresight_fleet",
        "foresight_reader",
        "foresight_log_writer",
        "foresight_pgml",
        "postgres",
    ):
        for how in ("set role", "set session authorization"):
            _, _, error = refused(connection, sql.SQL(how + " {}").format(sql.Identifier(role)))
            found.tried(f"{side}.roles", how, "login of one client", "another role")
            if error is None:
                found.leak(f"{side}: {how} {role} as {attacker.slug}")
    for schema in ("ml", "ml_pgml", "public", "pgml", victim.schema):
        for made in (
            "function {}.client_of_role(x integer) returns integer language sql as 'select 1'",
            "table {}.quarantine_2 ()",
        ):
            _, _, error = refused(connection, sql.SQL("create " + made).format(sql.Identifier(schema)))
            found.tried(f"{side}.schemas", "create", "login of one client", "what shadows ours")
            if error is None:
                found.leak(f"{side}: {attacker.slug} could create in schema {schema}")
    # A temporary function or view of the same name must not decide for a policy.
    with connection.transaction(force_rollback=True):
        connection.execute(
            sql.SQL("create function pg_temp.client_of_role() returns integer language sql as $$ select {} $$").format(
                sql.Literal(victim.client_id)
            )
        )
        connection.execute("set local search_path = pg_temp, ml, public, pg_catalog")
        rows = connection.execute("select t::text from ml.clients as t").fetchall()
    found.tried(f"{side}.schemas", "shadow a function", "login of one client", "the policies")
    scan(found, f"{side}: shadowed function as {attacker.slug}", rows, [victim])


Ask = Callable[..., Any]
INJECTIONS = (
    "' or '1'='1",
    "'; set role foresight_owner; --",
    "%' or true --",
    "$$;reset role;$$",
    "{client_id}",
    "%s",
    "\\'; --",
)


def api_attacks(
    world: World, found: Findings, ask: Ask, routes: list[tuple[str, str]], attacker: Tenant, chance: random.Random
) -> None:
    """`ask(method, path, key, **request)` gives an answer of httpx; `routes`: method and path of each."""
    victim = world.other(attacker)
    victims = [one for one in world.tenants if one is not attacker]
    key = world.keys[attacker.client_id]

    def tell(attack: str, method: str, path: str, answer: Any, asked: Any) -> None:
        found.tried(f"{method} {path}", attack, "a client's key", "another client")
        said = answer.text
        for text in sorted(texts(asked), key=len, reverse=True):
            said = said.replace(json.dumps(text)[1:-1], "").replace(text, "")
        scan(found, f"{attack}: {method} {path} as {attacker.slug}", said, victims)
        if answer.status_code >= 500:
            found.leak(f"{attack}: {method} {path} failed with {answer.status_code}")
        if answer.status_code == 200:
            values(found, f"{attack}: {method} {path} as {attacker.slug}", answer, attacker)

    for method, path in routes:
        stranger = ask(method, path, None, json={})
        found.tried(f"{method} {path}", "no key", "a stranger", "any client")
        is_open = path.removeprefix(ROOT) in OPEN
        if is_open:
            scan(found, f"no key: {method} {path}", stranger.text, world.tenants)
        elif stranger.status_code not in (401, 403):
            found.leak(f"{method} {path} answers a stranger with {stranger.status_code}")
        guessed = ask(method, path, f"fsk_{key.split('_')[1]}_{chance.getrandbits(128):x}", json={})
        found.tried(f"{method} {path}", "guessed key", "a stranger", "any client")
        if guessed.status_code != 401 and not is_open:
            found.leak(f"{method} {path} takes a guessed key: {guessed.status_code}")
        if method == "GET":
            asked: dict[str, Any] = {"client": victim.slug}
            tell("foreign client", method, path, ask(method, path, key, params=asked), asked)
            asked = {"client": chance.choice(INJECTIONS)}
            tell("injection", method, path, ask(method, path, key, params=asked), asked)
            headers = {"X-Client": victim.slug, "X-Forwarded-User": victim.slug, "Cookie": f"_token={victim.slug}"}
            tell("foreign headers", method, path, ask(method, path, key, extra=headers), headers)
        if method == "POST":
            for attack, body in bodies(path, attacker, victim, chance):
                tell(attack, method, path, ask(method, path, key, json=body), body)


def log_attacks(world: World, found: Findings, ask: Ask, attacker: Tenant, routes: list[tuple[str, str]]) -> None:
    """What the server says to itself of one client's requests names no other: such lines are shown and shipped."""
    victims = [one for one in world.tenants if one is not attacker]
    lines: list[str] = []
    listener = logging.Handler()
    listener.emit = lambda record: lines.append(record.getMessage() + str(record.exc_info or ""))
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    try:
        for method, path in routes:
            body = bodies(path, attacker, attacker, random.Random(0))[0][1] if method == "POST" else None
            ask(method, path, world.keys[attacker.client_id], **({"json": body} if body else {}))
            found.tried(f"{method} {path}", "read the log", "an operator of one client", "another client")
    finally:
        root.removeHandler(listener)
        root.setLevel(level)
    scan(found, f"log of {attacker.slug}'s requests", "\n".join(lines), victims)


def pool_attacks(world: World, found: Findings, databases: Databases, rounds: int = 3) -> None:
    """A session of the pool that failed, or was ended, in one client's hands is another's next."""
    first, second = world.tenants[:2]
    breaks = (
        "select 1 / 0",
        "create temporary table seized on commit drop as select * from ml.source_issues; select 1 / 0",
        "set local role foresight_owner",
        "select pg_terminate_backend(pg_backend_pid())",
        "savepoint s; select 1 / 0",
        "create temporary table seized as select * from ml.source_issues",
        "declare c cursor with hold for select * from ml.source_issues",
        "set search_path to pg_temp; select 1 / 0",
    )
    for _ in range(rounds):
        for query in breaks:
            for attacker, victim in ((first, second), (second, first)):
                with contextlib.suppress(psycopg.Error), databases.session(REPLICA) as session:
                    with session.as_client(attacker.client_id) as tx:
                        tx.connection.execute(query)
                with databases.session(REPLICA) as session, session.as_client(victim.client_id) as tx:
                    rows = [
                        tx.connection.execute("select current_user, session_user").fetchall(),
                        tx.connection.execute("select t::text from ml.source_issues as t").fetchall(),
                        tx.connection.execute("select t::text from ml.champions as t").fetchall(),
                    ]
                    for left in ("table seized", "fetch all from c"):
                        got, _, _ = refused(tx.connection, sql.SQL(left))
                        rows.append(got)
                found.tried("the pool", query.split(";")[0], "a client after a failure", "the session before")
                for asked, got in zip(("who", "issues", "champions", "seized", "cursor"), rows, strict=True):
                    scan(found, f"the pool after {query!r} by {attacker.slug}: {asked}", got, [attacker])
                if rows[0][0][0] != victim.role:
                    found.leak(f"the pool after {query!r}: {victim.slug} is {rows[0][0][0]}")


def timing_attacks(world: World, found: Findings, ask: Ask, rounds: int) -> tuple[float, float]:
    """Whether the time of an answer tells that another client has such a key, or has asked for it just now: how likely
    a question about it takes longer than one about a key that nobody has (one half: nothing is told), and how much."""
    attacker, victim = world.tenants[:2]
    path = "/api/ml/estimate-complexity"
    theirs = victim.keys()[:20]
    ask("POST", path, world.keys[victim.client_id], json={"issue_keys": theirs})
    spent: dict[bool, list[float]] = {True: [], False: []}
    for n in range(rounds):
        for foreign in (True, False) if n % 2 else (False, True):
            key = theirs[n % len(theirs)] if foreign else f"NOBODY{n % 20}-{n % 7}"
            began = time.perf_counter()
            ask("POST", path, world.keys[attacker.client_id], json={"issue_keys": [key]})
            spent[foreign].append(time.perf_counter() - began)
            found.tried(f"POST {path}", "timing", "a client's key", "a cached key of another client")
    told = stats.mannwhitneyu(spent[True], spent[False])
    share = float(told.statistic) / (len(spent[True]) * len(spent[False]))
    gap = statistics.median(spent[True]) - statistics.median(spent[False])
    # One in ten thousand by chance; and less than a tenth of a millisecond nobody can hear over a network.
    if told.pvalue < 1e-4 and abs(gap) > 1e-4:
        found.leak(
            f"timing: a foreign key takes {gap * 1000:+.2f} ms (chance of longer {share:.2f}, p {told.pvalue:.1g})"
        )
    return share, gap


def bodies(path: str, attacker: Tenant, victim: Tenant, chance: random.Random) -> list[tuple[str, dict]]:
    theirs, mine = chance.sample(victim.keys(), 3), chance.sample(attacker.keys(), 2)
    injected = [f"{chance.choice(theirs)}{text}" for text in INJECTIONS]
    number = victim.client_id + chance.randrange(30)

    def body(keys: list[str], repository: str = REPOSITORY, numbers: list[int] | None = None) -> dict:
        if path.endswith("predict-rework"):
            return {"repository": repository, "pull_request_numbers": numbers or [1, number]}
        return {"epic_keys" if path.endswith("trajectory") else "issue_keys": keys}

    return [
        ("foreign keys", body(theirs, numbers=[number])),
        ("mixed keys", body([*mine, *theirs], numbers=[1, number])),
        ("shared keys", body([*SHARED, "EPIC-1"], numbers=[1, 2])),
        ("injection", body(injected, chance.choice(INJECTIONS))),
        ("foreign client", body(mine) | {"client": victim.slug}),
        ("client id", body(mine) | {"client_id": victim.client_id}),
        ("explained", body([*mine, *theirs]) | {"explain": True}),
    ]


def texts(asked: Any) -> set[str]:
    if isinstance(asked, dict):
        return {text for one in asked.values() for text in texts(one)}
    if isinstance(asked, list):
        return {text for one in asked for text in texts(one)}
    return {str(asked)}


def values(found: Findings, where: str, answer: Any, attacker: Tenant) -> None:
    """A client's model says what its points are; another's would say something far off."""
    if answer.headers["content-type"] != "application/json":
        return
    for one in answer.json().get("estimates", ()):
        value = one["estimated_story_points"]
        if value is not None and not attacker.points / 3 < value < attacker.points * 3 + 2:
            found.leak(f"{where}: {value} points are another client's answer")
        if one["current_story_points"] not in (None, attacker.points):
            found.leak(f"{where}: {one['current_story_points']} points are another client's")


def routes_of(app: Any) -> list[tuple[str, str]]:
    return sorted({(method, route.path) for route in app.routes for method in getattr(route, "methods", None) or ()})


def everything(world: World, found: Findings, app: Any, ask: Ask, chance: random.Random) -> None:
    """One round of all attacks, of each of two clients on the other."""
    for attacker in world.tenants[:2]:
        for side in (PRIMARY, REPLICA):
            sql_attacks(world, found, attacker, side)
        api_attacks(world, found, ask, routes_of(app), attacker, chance)
        log_attacks(world, found, ask, attacker, routes_of(app))
    pool_attacks(world, found, app.state.service.service.predictor.databases)
