"""Set-up, undone: the replication, and if asked for also everything of ours on both servers.

The platform's tables on the primary are not touched. `pgml` and its models stay on the replica: others may use them.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from psycopg import sql

from include.foresight import deployment, replication
from include.foresight.administration import Step, Work
from include.foresight.names import PUBLICATION
from include.foresight.replication import PUBLISHED, SUBSCRIPTION
from include.foresight.sql import statement


def detach(primary_dsn: str, replica_dsn: str, *, everything: bool, dry_run: bool) -> tuple[Work, Work]:
    """Drop subscription, slot and publication; `everything`: our schemas, copies and roles too.

    What comes back tells what was planned (a dry run) or what is left to an administrator. Roles that another
    database of the same server still uses stay.
    """
    with deployment.connections(primary_dsn, replica_dsn) as (primary, replica):
        for connection in (primary, replica):
            connection.execute(statement("deployment/lock"))
        works = Work("primary", primary, dry=dry_run), Work("replica", replica, dry=dry_run)
        slot = replication.slot_name(replica)
        works[1].all(_subscription(replica))
        if not works[1].left:
            if not dry_run:
                replication.wait_until_unread(primary, slot)
            works[0].all(_of_primary(primary, slot))
        if everything and not any(work.left for work in works):
            for work in works:
                work.all(_objects(work))
                work.all(_roles(work.connection))
        return works


def losses(primary: psycopg.Connection) -> dict[str, int]:
    """How much of what is in schema ml of the primary; empty where there is none."""
    if not primary.execute(statement("detachment/schemas")).rowcount:
        return {}
    with deployment.as_owner(primary):
        cursor = primary.execute(statement("detachment/losses"))
        return {column.name: value for column, value in zip(cursor.description, cursor.fetchone(), strict=True)}


def _subscription(replica: psycopg.Connection) -> Iterator[Step]:
    found = replica.execute(statement("replication/subscription"), {"subscription": SUBSCRIPTION}).fetchone()
    if found:
        drop = statement("replication/drop_subscription", subscription=SUBSCRIPTION)
        yield Step("drop the subscription", drop, found[2])


def _of_primary(primary: psycopg.Connection, slot: str) -> Iterator[Step]:
    if replication.slot_is_there(primary, slot):
        drop = statement("replication/drop_slot", slot=sql.Literal(slot))
        yield Step(f"drop slot {slot}", drop, needs=replication.REPLICATES)
    if replication.published(primary):
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


def _roles(connection: psycopg.Connection) -> Iterator[Step]:
    login = connection.info.user
    for role, is_ours, is_revocable in connection.execute(statement("detachment/roles")).fetchall():
        if not is_ours:
            # Whoever takes back a role's grants must be a member of it; the membership goes with the role.
            yield Step(f"become {role}", statement("deployment/grant_role", name=role, member=login))
        yield Step(f"take back the grants of {role}", statement("detachment/drop_owned", role=role), is_revocable)
        yield Step(f"remove role {role}", statement("detachment/drop_role", role=role), is_revocable)
