"""A server that looks like the ML replica: the generated platform, the mapping views, its clients' roles and schemas.

There is no row-level security here: what these tests see of isolation is the feature SQL's own doing.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path

import pandas as pd
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

import demo
from launcher.clusters import Cluster
from launcher.system import postgres_bin, server_user

CHECKOUT = Path(__file__).parents[3]
END = datetime(2026, 1, 1)
CLIENTS = (1, 2, 3)
MODELS = ("complexity", "rework", "trajectory")

ROLES = """
create role foresight_owner nologin;
create role foresight_clients nologin;
create schema ml authorization foresight_owner;
grant usage on schema ml, public to foresight_clients;
-- Which some installations of the platform have, and the replica's copies always.
alter table public.pull_requests add column if not exists state varchar;
alter table public.issues add column if not exists comment_count integer, add column if not exists assignee_id integer;
grant select on all tables in schema public to foresight_clients, foresight_owner;
"""

CLIENT = """
create role {role} nologin in role foresight_clients;
create schema {schema} authorization {role};
create table {schema}.quarantine (
    entity text, entity_id bigint, check_name text, reason text, run_id uuid, noted_at timestamptz,
    primary key (entity, entity_id, check_name)
);
alter table {schema}.quarantine owner to {role};
"""


@pytest.fixture(scope="session")
def replica_like_dsn() -> Iterator[str]:
    """The connection string of a superuser. Whoever changes rows rolls back."""
    owner = server_user()
    # A socket's path has at most 107 bytes: not below pytest's own folder.
    folder = Path(tempfile.mkdtemp(prefix="features-", dir="/var/tmp"))
    settings = {"listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off"}
    cluster = Cluster("features", folder, 5432, secrets.token_hex(8), owner, postgres_bin(), settings)
    try:
        cluster.create()
        cluster.start()
        dsn = make_conninfo(cluster.conninfo(), host=str(folder))
        demo.create_platform(dsn)
        demo.load_generated(dsn, seed=0, end=END)
        with psycopg.connect(dsn) as connection:
            connection.execute(ROLES)
            for client_id in CLIENTS:
                name = {"role": f"foresight_client_{client_id}", "schema": f"ml_client_{client_id}"}
                connection.execute(sql.SQL(CLIENT).format(**{key: sql.Identifier(one) for key, one in name.items()}))
            connection.execute("set local role foresight_owner")
            functions = CHECKOUT / "sql" / "functions" / "replica"
            for path in sorted(
                [
                    *functions.glob("*_source_*.sql"),
                    *functions.glob("*_hashed_terms.sql"),
                    *functions.glob("*_running_medians.sql"),
                ]
            ):
                connection.execute(path.read_bytes())
        yield dsn
    finally:
        cluster.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def statements() -> dict[str, tuple[str, dict[str, object]]]:
    """The text and the spec's own parameters of every model."""
    folder = CHECKOUT / "sql" / "features"
    specs = {model: tomllib.loads((folder / f"{model}.toml").read_text()) for model in MODELS}
    return {
        model: ((folder / f"{model}.sql").read_text(), spec["settings"] | {"prior": spec["prior"]})
        for model, spec in specs.items()
    }


Rows = Callable[..., pd.DataFrame]


@pytest.fixture(scope="session")
def rows_of(statements: dict[str, tuple[str, dict[str, object]]]) -> Rows:
    """`rows_of(connection, model, client_id, scoring=, as_of=, entity_ids=, **settings)` runs a model's statement."""

    def run(
        connection: psycopg.Connection,
        model: str,
        client_id: int,
        *,
        scoring: bool = False,
        as_of: datetime = END,
        entity_ids: list[int] | None = None,
        **settings: object,
    ) -> pd.DataFrame:
        text, spec = statements[model]
        asked = {"client_id": client_id, "as_of": as_of, "scoring": scoring, "entity_ids": entity_ids}
        cursor = psycopg.ClientCursor(connection)
        cursor.execute(text, asked | spec | settings)
        names = [column.name for column in cursor.description]
        # Objects, so that a NULL stays one and is no NaN.
        return pd.DataFrame(cursor.fetchall(), columns=names, dtype=object)

    return run


@pytest.fixture(scope="session")
def as_client(replica_like_dsn: str) -> Callable[[int], AbstractContextManager[psycopg.Connection]]:
    """`with as_client(1) as connection`: a transaction of that client's role, rolled back at its end.

    `superuser=True` leaves the role out: for tests that change the platform's rows first.
    """

    @contextmanager
    def transaction(client_id: int, *, superuser: bool = False) -> Iterator[psycopg.Connection]:
        with psycopg.connect(replica_like_dsn) as connection, connection.transaction(force_rollback=True):
            if not superuser:
                role = sql.Identifier(f"foresight_client_{client_id}")
                connection.execute(sql.SQL("set local role {}").format(role))
            path = sql.Identifier(f"ml_client_{client_id}")
            connection.execute(sql.SQL("set local search_path = {}, ml, public").format(path))
            yield connection

    return transaction


@pytest.fixture(scope="session")
def in_script() -> Callable[..., None]:
    """Run the statements of a text one by one, with the same parameters; a literal % is doubled in it."""

    def run(connection: psycopg.Connection, script: str, **parameters: object) -> None:
        cursor = psycopg.ClientCursor(connection)
        cursor.execute(script, parameters)

    return run


@pytest.fixture(scope="session")
def training(as_client, rows_of: Rows) -> Callable[[str, int], pd.DataFrame]:
    """The training rows of the untouched data, computed once per model and client."""
    known: dict[tuple[str, int], pd.DataFrame] = {}

    def rows(model: str, client_id: int) -> pd.DataFrame:
        if (model, client_id) not in known:
            with as_client(client_id) as connection:
                known[model, client_id] = rows_of(connection, model, client_id)
        return known[model, client_id].copy()

    return rows
