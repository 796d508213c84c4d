"""From the primary to the ML replica: what is published, the copies, the subscription, and the heartbeat through it.

The platform's tables are published whole, without a list of columns: PostgreSQL would refuse to let the platform drop a
column that such a list names. So a column that the platform adds stops the replica until `make_copies` has added it
there (then replication goes on by itself); the platform notices nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime

import psycopg
from psycopg import sql

from include.foresight.database import Transaction
from include.foresight.errors import ConfigurationError, ForesightError
from include.foresight.names import PUBLICATION
from include.foresight.sql import statement

PUBLISHED = (
    "clients",
    "projects",
    "workflows",
    "status_mappings",
    "issuetypes",
    "statuses",
    "issues",
    "issue_changelogs",
    "repositories",
    "pull_requests",
    "pull_request_reviews",
    "pull_request_commits",
    "pull_request_comments",
    "jira_pull_request_links",
)
OURS = ("clients", "champions", "heartbeat")

# Columns that not every platform has: the copies have them always, so that the views over them are the same everywhere.
EXTRA: Mapping[str, Mapping[str, str]] = {
    "issues": {"comment_count": "integer", "assignee_id": "integer"},
    "pull_requests": {"state": "character varying"},
}

# Made after the first copy, which they would slow down. Under row-level security every search names the client.
INDEXES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "issues": (("client_id", "created"), ("client_id", "parent_external_id"), ("client_id", "key")),
    "issue_changelogs": (("client_id", "issue_id"),),
    "pull_requests": (("client_id", "pr_created_at"), ("client_id", "user_name", "pr_created_at")),
    "pull_request_reviews": (("client_id", "pull_request_id"),),
    "pull_request_commits": (("client_id", "pull_request_id"),),
}

# The subscription bears the publication's name.
SUBSCRIPTION = PUBLICATION

Say = Callable[[str], None]


def table(name: str) -> sql.Identifier:
    return sql.Identifier("public", name)


def everything() -> sql.Composed:
    """Every published table, with commas between."""
    return sql.SQL(", ").join([*map(table, PUBLISHED), *(sql.Identifier("ml", name) for name in OURS)])


def make_copies(primary: psycopg.Connection, replica: psycopg.Connection) -> None:
    """Make the replica's tables after the primary's, or add the columns that have come since. `replica` is the owner's.

    Raises ConfigurationError if the primary lacks a table, or a table lacks the primary key: without one, publishing it
    would make the platform's own updates fail.
    """
    columns: dict[str, list[tuple[str, str, bool]]] = {name: [] for name in PUBLISHED}
    wanted = {"tables": list(PUBLISHED)}
    for name, column, kind, in_key in primary.execute(statement("replication/source_columns"), wanted):
        columns[name].append((column, kind, in_key))
    missing = [name for name, found in columns.items() if not found]
    if missing:
        raise ConfigurationError(f"the platform's schema public has no table {', '.join(missing)}")
    keyless = [name for name, found in columns.items() if not any(in_key for _, _, in_key in found)]
    if keyless:
        raise ConfigurationError(
            f"table {', '.join(keyless)} of the primary has no primary key: publishing it would make its updates fail"
        )
    existing: dict[str, set[str]] = {}
    for name, column in replica.execute(statement("replication/copy_columns"), wanted):
        existing.setdefault(name, set()).add(column)
    for name, found in columns.items():
        kinds = {column: kind for column, kind, _ in found}
        kinds |= {column: kind for column, kind in EXTRA.get(name, {}).items() if column not in kinds}
        if name not in existing:
            parts = [sql.SQL("{} {}").format(sql.Identifier(one), sql.SQL(kind)) for one, kind in kinds.items()]
            key = [sql.Identifier(column) for column, _, in_key in found if in_key]
            replica.execute(
                statement(
                    "replication/create_copy",
                    table=table(name),
                    columns=sql.SQL(", ").join(parts),
                    key=sql.SQL(", ").join(key),
                )
            )
            continue
        for column in kinds.keys() - existing[name]:
            replica.execute(
                statement("replication/add_column", table=table(name), column=column, type=sql.SQL(kinds[column]))
            )


def secure_copies(replica: psycopg.Connection) -> None:
    """Let each client read its own rows of the copies, and nobody else any. `replica` is the owner's."""
    found = replica.execute(statement("replication/unsecured"), {"tables": list(PUBLISHED)}).fetchall()
    for (name,) in found:
        column = "id" if name == "clients" else "client_id"
        replica.execute(statement("replication/secure_copy", table=table(name), column=column))


def publish(primary: psycopg.Connection) -> None:
    """Make the publication, or give it the present list of tables. `primary` is a superuser's: the tables have two
    owners."""
    wanted = {f"public.{name}" for name in PUBLISHED} | {f"ml.{name}" for name in OURS}
    holes = {"publication": PUBLICATION, "tables": everything()}
    if not primary.execute(statement("replication/publication"), {"publication": PUBLICATION}).rowcount:
        primary.execute(statement("replication/create_publication", **holes))
    elif published(primary) != wanted:
        primary.execute(statement("replication/alter_publication", **holes))


def published(primary: psycopg.Connection) -> set[str]:
    """The tables of the publication, with their schemas."""
    return {name for (name,) in primary.execute(statement("replication/published"), {"publication": PUBLICATION})}


def subscribe(
    primary: psycopg.Connection,
    replica: psycopg.Connection,
    conninfo: str,
    *,
    say: Say = print,
    patience: float = 120,
) -> None:
    """Make the subscription or repair it, and wait until every table is through its first copy.

    Both connections are a superuser's in autocommit; `conninfo` leads the replica to the primary. A subscription whose
    slot is lost starts again from empty copies. Raises ForesightError after `patience` seconds without progress.
    """
    slot = slot_name(replica)
    found = replica.execute(statement("replication/subscription"), {"subscription": SUBSCRIPTION}).fetchone()
    if found and slot_is_lost(primary, found[1]):
        say(f"replication: slot {found[1]} of the primary is lost, so everything is copied anew")
        replica.execute(statement("replication/drop_subscription", subscription=SUBSCRIPTION))
        replica.execute(statement("replication/truncate", tables=everything()))
        found = None
    if not found:
        # A set-up that died between making the slot and recording it has left one behind.
        primary.execute(statement("replication/drop_slot"), {"slot": slot})
        create_subscription(replica, conninfo, slot)
    else:
        if found[0] != conninfo:
            replica.execute(
                statement("replication/alter_connection", subscription=SUBSCRIPTION, conninfo=sql.Literal(conninfo))
            )
        if not found[2]:
            replica.execute(statement("replication/enable_subscription", subscription=SUBSCRIPTION))
        copied = {name for name, *_ in subscribed(replica)}
        if copied != published(primary):
            replica.execute(statement("replication/refresh_subscription", subscription=SUBSCRIPTION))
    if wait_until_copied(replica, say=say, patience=patience):
        make_indexes(replica)
        replica.execute(statement("replication/analyze", tables=everything()))


def create_subscription(replica: psycopg.Connection, conninfo: str, slot: str) -> None:
    options = {"slot_name": sql.Literal(slot)}
    if replica.info.server_version >= 160000:
        # Otherwise each change is applied as the table's owner, who may not switch row-level security off.
        options["run_as_owner"] = sql.SQL("true")
    replica.execute(
        statement(
            "replication/create_subscription",
            subscription=SUBSCRIPTION,
            publication=PUBLICATION,
            conninfo=sql.Literal(conninfo),
            options=sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.SQL(name), value) for name, value in options.items()
            ),
        )
    )


def slot_name(replica: psycopg.Connection) -> str:
    """The slot of this replica on the primary: slots of all databases and replicas share their names there."""
    database, cluster = replica.execute(statement("replication/cluster_identity")).fetchone()
    readable = re.sub(r"[^a-z0-9_]", "_", database.lower())[:30]
    return f"foresight_{readable}_{int(cluster):x}"


def slot_is_lost(primary: psycopg.Connection, slot: str) -> bool:
    found = primary.execute(statement("replication/slot"), {"slot": slot}).fetchone()
    return found is None or found[1] == "lost"


def subscribed(replica: psycopg.Connection) -> list[tuple[str, bool, int, int]]:
    """(table, through its first copy, failed copies, failed changes) of the subscription."""
    return replica.execute(statement("replication/subscribed"), {"subscription": SUBSCRIPTION}).fetchall()


def wait_until_copied(replica: psycopg.Connection, *, say: Say, patience: float) -> bool:
    """Wait until every table is `ready`. Whether any was not, at the start."""
    rows = subscribed(replica)
    if all(ready for _, ready, _, _ in rows):
        return False
    said = progressed = time.monotonic()
    failures = max(failed for _, _, failed, _ in rows)
    left = len(rows)
    while waiting := sorted(name for name, ready, _, _ in rows if not ready):
        now = time.monotonic()
        if len(waiting) < left:
            left, progressed = len(waiting), now
        # One failure may be a server that restarted; a copy that fails again and again will not get better.
        if max(failed for _, _, failed, _ in rows) > failures + 2 or now - progressed > patience:
            raise ForesightError(
                f"replication: no first copy of {', '.join(waiting)} (of {len(rows)} tables) after "
                f"{now - progressed:.0f} s without progress; the replica's server log has the reason"
            )
        if now - said > 2:
            said = now
            say(f"replication: {len(rows) - len(waiting)} of {len(rows)} tables copied")
        time.sleep(0.05)
        rows = subscribed(replica)
    say(f"replication: {len(rows)} tables copied")
    return True


def make_indexes(replica: psycopg.Connection) -> None:
    existing = {name for (name,) in replica.execute(statement("replication/indexes"), {"tables": list(PUBLISHED)})}
    for name, lists in INDEXES.items():
        for columns in lists:
            index = "_".join([name, *columns])[:50] + "_foresight"
            if index not in existing:
                replica.execute(
                    statement(
                        "replication/create_index",
                        name=index,
                        table=table(name),
                        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
                    )
                )


def beat(primary: Transaction) -> datetime:
    """Touch the heartbeat and return what it now says. The replica can show it once this transaction is committed."""
    return primary.one("replication/beat")["beat_at"]


def seen(replica: Transaction, beat: datetime) -> bool:
    """Whether the replica shows this heartbeat: then it shows all that was committed on the primary before it."""
    return replica.one("replication/seen", {"beat": beat})["seen"]
