"""The roles of both sides, what they may, and the schema ml: as steps, made from a look at the server.

Two attributes are not everybody's to give. Without BYPASSRLS of the owner, policies that name it stand in; without
REPLICATION there is no replica, so that one is left to an administrator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from psycopg import sql

from include.foresight import names
from include.foresight.administration import Step
from include.foresight.inspection import Look
from include.foresight.sql import statement

APP = "foresight_app"
REPLICATION = "foresight_replication"
CLIENTS = "foresight_clients"
READ_ALL = "pg_read_all_data"
PGML = "pgml_user"


@dataclass(frozen=True)
class Role:
    """`plain`: attributes that whoever makes roles may give; `needed` and `wished`: those that are not."""

    name: str
    plain: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    wished: tuple[str, ...] = ()


ROLES = {
    "primary": (
        Role(names.OWNER, ("createrole",), wished=("bypassrls",)),
        Role(CLIENTS),
        Role(names.FLEET),
        Role(names.LOG_WRITER),
        Role(names.READER),
        Role(APP, ("login", "noinherit")),
        Role(REPLICATION, ("login",), ("replication",), ("bypassrls",)),
    ),
    "replica": (
        Role(names.OWNER, ("createrole",), wished=("bypassrls",)),
        Role(CLIENTS),
        Role(names.FLEET),
        Role(APP, ("login", "noinherit")),
        Role(PGML),
        Role(names.GATEWAY),
    ),
}

# (group, member), and whether the member may make others members.
MEMBERS = {
    "primary": {
        (names.FLEET, APP): False,
        (names.LOG_WRITER, APP): False,
        (names.READER, APP): False,
        (CLIENTS, names.OWNER): True,
    },
    "replica": {
        (names.FLEET, APP): False,
        (CLIENTS, names.OWNER): True,
        (PGML, names.OWNER): True,
        (names.GATEWAY, names.OWNER): False,
    },
}

# Who may what on database and schemas.
PRIVILEGES = {
    "primary": {
        ("ml", "usage"): (CLIENTS, names.FLEET, names.LOG_WRITER, names.READER),
        ("database", "connect"): (APP, CLIENTS, REPLICATION),
        ("database", "temporary"): (APP, CLIENTS),
    },
    "replica": {
        ("ml", "usage"): (CLIENTS, names.FLEET),
        ("public", "usage"): (names.OWNER, CLIENTS),
        # The copies of the platform's tables.
        ("public", "create"): (names.OWNER,),
        # The clients' schemas.
        ("database", "create"): (names.OWNER,),
        ("database", "connect"): (APP, CLIENTS),
        ("database", "temporary"): (APP, CLIENTS),
    },
}

# Whom the set-up of each side gives a password.
LOGINS = {"primary": (APP, REPLICATION), "replica": (APP,)}


def identifiers(words: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, words))


def steps(look: Look) -> Iterator[Step]:
    """What of roles, memberships, grants and schema ml is not there yet, in order."""
    for role in ROLES[look.side]:
        yield from _role(look, role)
    yield from _memberships(look)
    if look.side == "primary":
        yield from _readers(look)
    if look.server["owner_of_ml"] is None:
        yield Step(
            "make schema ml",
            statement("deployment/create_schema", schema="ml", owner=names.OWNER),
            look.is_superuser or look.server["may_create"],
            "the database's owner",
            first=True,
        )
    yield from _grants(look)


def _role(look: Look, role: Role) -> Iterator[Step]:
    may = [attribute for attribute in (*role.needed, *role.wished) if look.may_attribute(attribute)]
    found = look.roles.get(role.name)
    able = look.is_superuser or look.server["may_create_roles"]
    if found is None:
        # Whoever makes it in our place is asked for everything.
        attributes = (*role.plain, *(may if able else (*role.needed, *role.wished)))
        if "login" not in role.plain:
            attributes = ("nologin", *attributes)
        yield Step(
            f"make role {role.name}",
            statement("deployment/create_role", role=role.name, attributes=sql.SQL(" ").join(map(sql.SQL, attributes))),
            able,
            "a superuser (a managed server may refuse bypassrls: leave that word out)",
            first=True,
        )
        if not able:
            return
    else:
        lacking = [one for one in (*role.plain, *may) if not look.has_attribute(role.name, one)]
        if lacking:
            yield _alter(role.name, lacking, look.may_alter(role.name))
    for attribute in role.needed:
        if attribute not in may and not look.has_attribute(role.name, attribute):
            yield _alter(role.name, [attribute], False)
    hidden = [name for name, one in look.tables.items() if one["has_policies"]]
    if role.name == REPLICATION and hidden and not bypasses(look, role.name):
        yield Step(
            f"let {role.name} read {', '.join(sorted(hidden))} past the platform's own policies",
            statement("deployment/alter_role", role=role.name, attributes=sql.SQL("bypassrls")),
            False,
        )


def _alter(role: str, attributes: list[str], allowed: bool) -> Step:
    needs = "a superuser"
    if "replication" in attributes:
        needs = f"a superuser (on Amazon RDS instead: grant rds_replication to {role})"
    return Step(
        f"give role {role} {', '.join(attributes)}",
        statement("deployment/alter_role", role=role, attributes=sql.SQL(" ").join(map(sql.SQL, attributes))),
        allowed,
        needs,
    )


def bypasses(look: Look, role: str) -> bool:
    """Whether no policy holds for that role, once these steps are done."""
    return look.has_attribute(role, "bypassrls") or look.may_attribute("bypassrls")


def _memberships(look: Look) -> Iterator[Step]:
    for (group, member), admin in MEMBERS[look.side].items():
        found = look.memberships.get((member, group))
        if found is None or admin > found:
            yield Step(
                f"make {member} a member of {group}",
                statement(
                    "deployment/grant_role_with_admin" if admin else "deployment/grant_role", name=group, member=member
                ),
                look.may_give(group),
                first=True,
            )
    if not look.may_use(names.OWNER):
        yield Step(
            f"let {look.login} act as {names.OWNER}",
            statement("deployment/grant_role", name=names.OWNER, member=look.login),
            look.may_give(names.OWNER),
            first=True,
        )


def _readers(look: Look) -> Iterator[Step]:
    """The enrichment views are security_invoker: their reader must read the platform's tables. Membership, not grants
    on the tables: those would alter what the platform owns (docs/decisions/0002). Such grants count all the same."""
    for role, tables in ((REPLICATION, list(look.tables)), (names.READER, ["issues", "pull_requests"])):
        reads = all(role in look.tables[name]["readers"] for name in tables if name in look.tables)
        if (role, READ_ALL) not in look.memberships and not (role in look.roles and reads):
            yield Step(
                f"let {role} read the platform's tables",
                statement("deployment/grant_role", name=READ_ALL, member=role),
                look.may_give(READ_ALL),
            )
    found = look.roles.get(REPLICATION)
    if bypasses(look, REPLICATION):
        if found is None or not found["row_security_off"]:
            yield Step(
                f"have {REPLICATION} stop at policies that it does not pass",
                statement("deployment/hide_nothing", role=REPLICATION),
                look.may_give(REPLICATION),
            )
    elif found and found["row_security_off"]:
        yield Step(
            f"have {REPLICATION} read through policies",
            statement("deployment/obey_policies", role=REPLICATION),
            look.may_give(REPLICATION),
        )


def _grants(look: Look) -> Iterator[Step]:
    for (place, privilege), wanted in PRIVILEGES[look.side].items():
        lacking = [role for role in wanted if not look.allows(role, place, privilege)]
        if not lacking:
            continue
        holes: dict[str, sql.Composable | str] = {"privileges": sql.SQL(privilege), "roles": identifiers(lacking)}
        if place == "database":
            query = statement("deployment/grant_on_database", database=look.server["database"], **holes)
            allowed = look.server["owns_database"]
        else:
            query = statement("deployment/grant_on_schema", schema=place, **holes)
            # Schema ml belongs to the owner, whose member the login has become by now.
            allowed = look.server["owns_public"] if place == "public" else look.may_give(names.OWNER)
        where = "the database" if place == "database" else f"schema {place}"
        yield Step(
            f"allow {privilege} on {where} to {', '.join(lacking)}",
            query,
            look.is_superuser or allowed or (place == "ml" and look.may_use(names.OWNER)),
            "the database's owner",
            first=True,
        )


def password(look: Look, role: str, hashed: str) -> Step:
    """`hashed`: what the server gets, it may log."""
    return Step(
        f"set the password of {role}",
        statement("deployment/set_password", role=role, password=sql.Literal(hashed)),
        look.may_alter(role),
        first=True,
    )
