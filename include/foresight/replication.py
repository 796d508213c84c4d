"""From the primary to the ML replica: what is published, the copies, the subscription, and the heartbeat through it.

The platform's tables are published whole, without a list of columns: PostgreSQL would refuse to let the platform drop a
column that such a list names. So a column that the platform adds stops the replica until `make_copies` has added it
there (then replication goes on by itself); the platform notices nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from include.foresight.administration import Step, Work
from include.foresight.database import Session, Transaction
from include.foresight.errors import ConfigurationError, ForesightError
from include.foresight.names import PUBLICATION
from include.foresight.sql import statement

if TYPE_CHECKING:
    from include.foresight.inspection import Look

PUBLISHED = (
    "clients",
    "projects",
    "workflows",
    "status_mappings",
    "issuetype_mappings",
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
OURS = ("clients", "champions", "ranges", "heartbeat", "api_keys", "client_people")

# What tells rows and clients apart (a client's own row by its id); a platform without these is refused.
NEEDED = ("id", "client_id")

# Tables that a platform may lack: their copies are there, empty, so that the views are the same everywhere.
OPTIONAL = ("issuetype_mappings",)

_TEXT, _TIME = "character varying", "timestamp without time zone"
_COUNT, _SECONDS = "integer", "double precision"
# Without the platform's word for it, every row counts.
_COMMON = {"active": "boolean default true"}

# Columns that the views over the copies read. The copies have them always, empty where the platform has none (some lack
# comment_count, assignee_id, state), so that the views are the same everywhere.
EXTRA: Mapping[str, Mapping[str, str]] = {
    "projects": {"key": _TEXT},
    "status_mappings": {"status_to": _TEXT, "status_category": _TEXT},
    "issuetype_mappings": {"issuetype_to": _TEXT},
    "issuetypes": {"original_name": _TEXT, "hierarchy_level": _COUNT, "issuetype_mapping_id": _COUNT},
    "statuses": {"original_name": _TEXT, "category": _TEXT, "status_mapping_id": _COUNT},
    "issues": _COMMON
    | dict.fromkeys(("key", "team", "summary", "custom_field_01", "custom_field_05", "assignee", "priority"), _TEXT)
    | dict.fromkeys(("labels", "external_id", "parent_external_id"), _TEXT)
    | dict.fromkeys(("project_id", "issuetype_id", "status_id", "story_points", "comment_count", "assignee_id"), _COUNT)
    | dict.fromkeys(("created", "updated", "work_first_committed_at", "work_first_started_at"), _TIME)
    | {"work_last_completed_at": _TIME, "last_updated_at": _TIME, "total_lead_time_seconds": _SECONDS},
    "issue_changelogs": _COMMON
    | {"issue_id": _COUNT, "from_status_id": _COUNT, "to_status_id": _COUNT, "transition_change_date": _TIME},
    "repositories": {"name": _TEXT, "full_name": _TEXT},
    "pull_requests": _COMMON
    | dict.fromkeys(("name", "user_name", "body", "status", "state"), _TEXT)
    | dict.fromkeys(("number", "repository_id", "issue_id", "commit_count", "additions", "deletions"), _COUNT)
    | dict.fromkeys(("changed_files", "reviewers", "review_cycles", "rework_commit_count"), _COUNT)
    | dict.fromkeys(("pr_created_at", "first_review_at", "merged_at", "closed_at", "last_updated_at"), _TIME),
    "pull_request_commits": _COMMON
    | {"pull_request_id": _COUNT, "author_name": _TEXT, "message": _TEXT}
    | {"authored_date": _TIME, "committed_date": _TIME},
    "pull_request_reviews": _COMMON
    | {"pull_request_id": _COUNT, "author_login": _TEXT, "state": _TEXT, "submitted_at": _TIME},
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

# How the names of the replicas' slots begin.
SLOTS = "foresight_"

Say = Callable[[str], None]


def table(name: str) -> sql.Identifier:
    return sql.Identifier("public", name)


def everything(tables: Sequence[str] = PUBLISHED) -> sql.Composed:
    """These tables of the platform's and ours, with commas between."""
    return sql.SQL(", ").join([*map(table, tables), *(sql.Identifier("ml", name) for name in OURS)])


def missing_tables(there: Container[str]) -> list[str]:
    """The tables that a platform must have, and that are not there."""
    return [name for name in PUBLISHED if name not in OPTIONAL and name not in there]


def make_copies(primary: psycopg.Connection, replica: psycopg.Connection) -> None:
    """Make the replica's tables after the primary's, or add the columns that have come since. `replica` is the owner's.

    Raises ConfigurationError if the primary lacks a table, or a table lacks the primary key: without one, publishing it
    would make the platform's own updates fail.
    """
    columns: dict[str, list[tuple[str, str, bool]]] = {name: [] for name in PUBLISHED}
    wanted = {"tables": list(PUBLISHED)}
    for name, column, kind, in_key in primary.execute(statement("replication/source_columns"), wanted):
        columns[name].append((column, kind, in_key))
    missing = missing_tables([name for name, found in columns.items() if found])
    if missing:
        raise ConfigurationError(f"the platform's schema public has no table {', '.join(missing)}")
    for name in OPTIONAL:
        columns[name] = columns[name] or [(column, _COUNT, column == "id") for column in NEEDED]
    keyless = [name for name, found in columns.items() if not any(in_key for _, _, in_key in found)]
    if keyless:
        raise ConfigurationError(
            f"table {', '.join(keyless)} of the primary has no primary key: publishing it would make its updates fail"
        )
    existing: dict[str, dict[str, str]] = {}
    for name, column, kind in replica.execute(statement("replication/copy_columns"), wanted):
        existing.setdefault(name, {})[column] = kind
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
        retype(replica, name, {one: kind for one, kind, _ in found if existing[name].get(one, kind) != kind})
        for column in kinds.keys() - existing[name].keys():
            replica.execute(
                statement("replication/add_column", table=table(name), column=column, type=sql.SQL(kinds[column]))
            )


def retype(replica: psycopg.Connection, name: str, kinds: Mapping[str, str]) -> None:
    """Give columns of a copy other types. The views over it are dropped, to be made again with the functions."""
    if not kinds:
        return
    for (view,) in replica.execute(statement("replication/views_over"), {"table": name}).fetchall():
        replica.execute(statement("replication/drop_view", view=sql.Identifier("ml", view)))
        replica.execute(statement("deployment/forget_applied"), {"part": "functions"})
    for column, kind in kinds.items():
        replica.execute(statement("replication/retype_column", table=table(name), column=column, type=sql.SQL(kind)))


def secure_copies(replica: psycopg.Connection, *, force: bool = True) -> None:
    """Let each client read its own rows of the copies, and nobody else any. `replica` is the owner's.

    `force`: whether the owner has BYPASSRLS. A role for which policies hold may not write what is replicated, and the
    owner is the one that writes where the subscription is no superuser's.
    """
    word = sql.SQL("force" if force else "no force")
    found = replica.execute(statement("replication/unsecured"), {"tables": list(PUBLISHED), "force": force}).fetchall()
    for (name,) in found:
        column = "id" if name == "clients" else "client_id"
        replica.execute(statement("replication/secure_copy", table=table(name), column=column, force=word))
    found = replica.execute(statement("replication/unforced"), {"tables": list(OURS), "force": force}).fetchall()
    for (name,) in found:
        replica.execute(statement("replication/force", table=sql.Identifier("ml", name), force=word))


def publication_steps(primary: Look) -> Iterator[Step]:
    """Make the publication, or give it the present list of tables. The tables have two owners, so who makes it is a
    superuser or a member of both."""
    tables = [name for name in PUBLISHED if name in primary.tables or name not in OPTIONAL]
    wanted = {f"public.{name}" for name in tables} | {f"ml.{name}" for name in OURS}
    holes = {"publication": PUBLICATION, "tables": everything(tables)}
    found = primary.publications.get(PUBLICATION)
    owns_tables = primary.is_superuser or all(one["is_ours"] for one in primary.tables.values())
    if found is None:
        yield Step(
            "publish the tables",
            statement("replication/create_publication", **holes),
            owns_tables and (primary.is_superuser or primary.server["may_create"]),
            "a superuser, or an owner of the platform's tables who is a member of foresight_owner",
        )
    elif set(found["tables"]) != wanted:
        yield Step(
            "publish the present list of tables",
            statement("replication/alter_publication", **holes),
            owns_tables and found["is_ours"],
            f"a superuser, or {found['owner']}",
        )


def published(primary: psycopg.Connection) -> set[str]:
    """The tables of the publication, with their schemas."""
    return {name for (name,) in primary.execute(statement("replication/published"), {"publication": PUBLICATION})}


def subscribe(
    primary: Work,
    replica: Work,
    conninfo: str | None,
    *,
    may_create: bool,
    say: Say = print,
    patience: float = 120,
) -> None:
    """Make the subscription or repair it, and wait until every table is through its first copy.

    `conninfo` leads the replica to the primary; None: as it stands, for a subscription that is there. What the login
    may not do is left to an administrator. A subscription whose slot is lost starts again from empty copies. Raises
    ForesightError after `patience` seconds without progress.
    """
    server = replica.connection
    slot = slot_name(server)
    found = server.execute(statement("replication/subscription"), {"subscription": SUBSCRIPTION}).fetchone()
    if found and slot_is_lost(primary.connection, found[0]):
        say(f"replication: slot {found[0]} of the primary is lost, so everything is copied anew")
        gone = Step(
            "drop the subscription whose slot is lost",
            statement("replication/drop_subscription", subscription=SUBSCRIPTION),
            found[2],
        )
        empty = Step("empty the copies", statement("replication/truncate", tables=everything()))
        if not (replica.do(gone) and replica.do(empty)):
            return
        found = None
    if not found:
        if slot_is_there(primary.connection, slot):
            # A set-up that died between making the slot and recording it has left one behind.
            left_over = Step(
                "drop a slot that nobody reads",
                statement("replication/drop_slot", slot=sql.Literal(slot)),
                needs=REPLICATES,
            )
            if not primary.do(left_over):
                return
        if not replica.do(subscription_step(server, conninfo, slot, may_create)):
            return
    elif not _repair(primary.connection, replica, conninfo, enabled=found[1], is_ours=found[2]):
        return
    if wait_until_copied(server, say=say, patience=patience):
        make_indexes(server)
        server.execute(statement("replication/analyze", tables=everything()))


REPLICATES = "a superuser, or a role with REPLICATION"


def _repair(primary: psycopg.Connection, replica: Work, conninfo: str | None, *, enabled: bool, is_ours: bool) -> bool:
    """Whether the subscription is as it should be."""
    server, done = replica.connection, True
    if conninfo and is_ours:
        readable = server.execute("show is_superuser").fetchone() == ("on",)
        path = statement("replication/subscription_conninfo")
        if not readable or server.execute(path, {"subscription": SUBSCRIPTION}).fetchone() != (conninfo,):
            moved = statement("replication/alter_connection", subscription=SUBSCRIPTION, conninfo=sql.Literal(conninfo))
            done &= replica.do(Step("tell the subscription where the primary is", moved))
    if not enabled:
        enable = statement("replication/enable_subscription", subscription=SUBSCRIPTION)
        done &= replica.do(Step("enable the subscription", enable, is_ours))
    if {name for name, *_ in subscribed(server)} != published(primary):
        refresh = statement("replication/refresh_subscription", subscription=SUBSCRIPTION)
        done &= replica.do(Step("subscribe to the tables that were published since", refresh, is_ours))
    return done


def subscription_step(replica: psycopg.Connection, conninfo: str | None, slot: str, may_create: bool) -> Step:
    if conninfo is None:
        raise ConfigurationError(
            "the password of foresight_replication is not known, and the subscription needs it: name the file or the "
            "variables that hold the passwords, or have new ones made"
        )
    options = {"slot_name": sql.Literal(slot)}
    if replica.info.server_version >= 160000:
        # Otherwise each change is applied as the table's owner, who may not switch row-level security off.
        options["run_as_owner"] = sql.SQL("true")
    query = statement(
        "replication/create_subscription",
        subscription=SUBSCRIPTION,
        publication=PUBLICATION,
        conninfo=sql.Literal(conninfo),
        options=sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.SQL(name), value) for name, value in options.items()),
    )
    return Step(
        "subscribe to the primary",
        query,
        may_create,
        "a superuser (from PostgreSQL 16 on also a member of pg_create_subscription), after the primary's part",
    )


def may_subscribe(replica: Look) -> bool:
    """Whether the login may make a subscription: PostgreSQL 15 lets superusers only, Amazon RDS its own."""
    if replica.is_superuser or replica.may_use("rds_superuser"):
        return True
    return replica.may_use("pg_create_subscription") and replica.server["may_create"]


def slot_name(replica: psycopg.Connection) -> str:
    """The slot of this replica on the primary: slots of all databases and replicas share their names there."""
    database, cluster = replica.execute(statement("replication/cluster_identity")).fetchone()
    readable = re.sub(r"[^a-z0-9_]", "_", database.lower())[:30]
    return f"{SLOTS}{readable}_{int(cluster):x}"


def slot_is_lost(primary: psycopg.Connection, slot: str) -> bool:
    found = primary.execute(statement("replication/slot"), {"slot": slot}).fetchone()
    return found is None or found[1] == "lost"


def slot_is_there(primary: psycopg.Connection, slot: str) -> bool:
    return primary.execute(statement("replication/slot"), {"slot": slot}).fetchone() is not None


def wait_until_unread(primary: psycopg.Connection, slot: str, patience: float = 10) -> None:
    """The worker of a subscription that is gone lives on for a moment, and its slot cannot be dropped meanwhile."""
    deadline = time.monotonic() + patience
    while (found := primary.execute(statement("replication/slot"), {"slot": slot}).fetchone()) and found[0]:
        if time.monotonic() > deadline:
            raise ForesightError(f"slot {slot} of the primary is still being read after {patience:.0f} s: try again")
        time.sleep(0.05)


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


# What a slot is called whose log the replica cannot get any more, or soon will not.
LOST = ("lost", "unreserved")


def slots(primary: Transaction) -> list[dict[str, Any]]:
    """The slots of this primary's replicas, as the fleet: slot, active, wal_status, bytes_behind, bytes_kept."""
    return primary.all("replication/slots")


def beat(primary: Transaction) -> datetime:
    """Touch the heartbeat and return what it now says. The replica can show it once this transaction is committed."""
    return primary.one("replication/beat")["beat_at"]


def seen(replica: Transaction, beat: datetime) -> bool:
    """Whether the replica shows this heartbeat: then it shows all that was committed on the primary before it."""
    return replica.one("replication/seen", {"beat": beat})["seen"]


def age(replica: Transaction) -> float | None:
    """Seconds since the heartbeat that the replica shows, None without any: what was committed before it is there."""
    return replica.one("replication/age")["seconds"]


def behind(primary: Session, replica: Session, patience: float) -> float | None:
    """Seconds until the replica has what is on the primary now; None: not within `patience` seconds. A heartbeat is
    waited for: positions in the log look frozen while a backlog is applied, a row does not."""
    with primary.as_fleet() as tx:
        moment = beat(tx)
    return waited(replica, moment, patience)


def waited(replica: Session, beat: datetime, patience: float) -> float | None:
    """Seconds until the replica shows this heartbeat; None: not within `patience` seconds."""
    began = time.monotonic()
    while True:
        with replica.as_fleet() as tx:
            if seen(tx, beat):
                return time.monotonic() - began
        passed = time.monotonic() - began
        if passed > patience:
            return None
        time.sleep(min(0.02 + passed / 10, 0.5))
