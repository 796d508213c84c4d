"""Set-up, undone: the replication, and if asked for also everything of ours on both servers.

The platform's tables on the primary are not touched. `pgml` and its models stay on the replica: others may use them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from include.foresight import deployment, replication
from include.foresight.administration import Step, Work
from include.foresight.names import PUBLICATION
from include.foresight.replication import PUBLISHED, SUBSCRIPTION
from include.foresight.sql import statement

Say = Callable[[str], None]


def detach(primary_dsn: str, replica_dsn: str, *, everything: bool, dry_run: bool, say: Say) -> tuple[Work, Work]:
    """Drop subscription, slot and publication; `everything`: our schemas, copies and roles too.

    What others still use stays, and `say` hears of it: the primary's part while another replica reads it, roles that
    another database of the same server uses. What comes back tells what was planned (a dry run) or what is left to an
    administrator.
    """
    with deployment.connections(primary_dsn, replica_dsn) as (primary, replica):
        for connection in (primary, replica):
            connection.execute(statement("deployment/lock"))
        works = Work("primary", primary, dry=dry_run), Work("replica", replica, dry=dry_run)
        slot = replication.slot_name(replica)
        others = _other_slots(primary, slot)
        works[1].all(_subscription(replica))
        if not works[1].left:
            if not dry_run:
                replication.wait_until_unread(primary, slot)
            works[0].all(_of_primary(primary, slot, shared=bool(others)))
        if others:
            say(f"primary: keeps everything but its slot: another replica reads it through slot {', '.join(others)}")
        if everything and not any(work.left for work in works):
            for work in works[1:] if others else works:
                work.all(_objects(work))
                work.all(_roles(work, say))
        return works


def losses(primary_dsn: str, replica_dsn: str) -> dict[str, int]:
    """How much of what goes with schema ml of the primary; empty where there is none, or another replica keeps it."""
    with deployment.connections(primary_dsn, replica_dsn) as (primary, replica):
        there = primary.execute(statement("detachment/schemas")).rowcount
        if not there or _other_slots(primary, replication.slot_name(replica)):
            return {}
        losses = statement("detachment/losses")
        cursor = deployment.as_owner(primary, lambda: primary.execute(losses))
        return {column.name: value for column, value in zip(cursor.description, cursor.fetchone(), strict=True)}


def _other_slots(primary: psycopg.Connection, slot: str) -> list[str]:
    """The slots of other replicas of this database."""
    slots = [name for name, *_ in primary.execute(statement("inspection/slots"))]
    return [name for name in slots if name.startswith(replication.SLOTS) and name != slot]


def _subscription(replica: psycopg.Connection) -> Iterator[Step]:
    found = replica.execute(statement("replication/subscription"), {"subscription": SUBSCRIPTION}).fetchone()
    if found:
        drop = statement("replication/drop_subscription", subscription=SUBSCRIPTION)
        yield Step("drop the subscription", drop, found[2])


def _of_primary(primary: psycopg.Connection, slot: str, *, shared: bool) -> Iterator[Step]:
    if replication.slot_is_there(primary, slot):
        drop = statement("replication/drop_slot", slot=sql.Literal(slot))
        yield Step(f"drop slot {slot}", drop, needs=replication.REPLICATES)
    if replication.published(primary) and not shared:
        drop = statement("detachment/drop_publication", publication=PUBLICATION)
        yield Step("drop the publication", drop, needs="a superuser, or the publication's owner")


def _objects(work: Work) -> Iterator[Step]:
    # The views of schema ml read the copies: those go first.
    for (name,) in work.connection.execute(statement("detachment/schemas")).fetchall():
        yield Step(f"remove schema {name}", statement("detachment/drop_schema", schema=name))
    if work.side == "replica":
        found = work.connection.execute(statement("detachment/copies"), {"tables": list(PUBLISHED)})
        copies = [name for (name,) in found]
        if copies:
            tables = sql.SQL(", ").join(map(replication.table, copies))
            yield Step("drop the copies", statement("detachment/drop_copies", tables=tables))


def _roles(work: Work, say: Say) -> Iterator[Step]:
    cursor = work.connection.cursor(row_factory=dict_row)
    roles = cursor.execute(statement("detachment/roles")).fetchall()
    used = {role["name"]: ", ".join(role["used_by"]) for role in roles if role["used_by"]}
    for used_by, count in Counter(used.values()).items():
        say(f"{work.side}: keeps {count} of Foresight's roles for {used_by}")
    # What they may here would keep that database from removing them.
    for grant in cursor.execute(statement("detachment/grants"), {"roles": list(used)}).fetchall():
        kind, name, role = grant["kind"], grant["object"], grant["role"]
        query = statement("detachment/revoke", kind=sql.SQL(kind), object=sql.Identifier(*name), role=role)
        what = f"take back the grants of {role} on {kind} {'.'.join(name)}"
        yield Step(what, query, grant["is_ours"], "its owner, or a superuser")
    for role in roles:
        name = role["name"]
        if name in used:
            continue
        if not role["is_ours"]:
            # Whoever takes back a role's grants must be a member of it; the membership goes with the role.
            login = work.connection.info.user
            yield Step(f"become {name}", statement("deployment/grant_role", name=name, member=login))
        yield Step(
            f"take back the grants of {name}", statement("detachment/drop_owned", role=name), role["is_revocable"]
        )
        yield Step(f"remove role {name}", statement("detachment/drop_role", role=name), role["is_revocable"])
