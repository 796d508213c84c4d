"""The registry into the snapshot, and clients provisioned on the way."""

from __future__ import annotations

import json
import os

import psycopg
import pytest
from psycopg import sql

from include.foresight import names, registry
from include.foresight.database import Databases

SCHEMAS = "select nspname from pg_namespace where nspname like 'ml\\_client\\_%%'"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "registry" / "clients.json"


@pytest.fixture(autouse=True)
def empty_registry(installed):
    yield
    execute(installed, "update ml.clients set active = false")


def execute(installed, query, values=None):
    with psycopg.connect(installed.primary) as connection:
        connection.execute(query, values)


def register(installed, client_id, slug, replica="foresight_replica"):
    """A row of the registry and nothing else, as an operator writes it."""
    execute(
        installed,
        "insert into ml.clients (client_id, slug, name, replica_conn_id) "
        "values (%(id)s, %(slug)s, %(slug)s, %(replica)s)",
        {"id": client_id, "slug": slug, "replica": replica},
    )


def slugs(path):
    return [one["slug"] for one in registry.read(path).clients]


def test_a_new_row_is_provisioned_on_both_sides_and_in_the_snapshot(installed, client_ids, path):
    number = next(client_ids)
    register(installed, number, "fresh")
    assert registry.sync(installed.databases, path) == ["fresh"]
    assert slugs(path) == ["fresh"]
    assert (f"ml_client_{number}",) in installed.rows(installed.replica, SCHEMAS)
    [(provisioned,)] = installed.rows(
        installed.primary, "select provisioned_at is not null from ml.clients where client_id = %(id)s", {"id": number}
    )
    assert provisioned
    for conn_id in ("foresight_primary", "foresight_replica"):
        with installed.databases.session(conn_id) as session, session.as_client(number) as tx:
            assert tx.execute(sql.SQL("select ml.client_of_role() as id")).fetchone() == {"id": number}


def test_every_look_makes_a_heartbeat(installed, path):
    """By which the age of a replica's copy is known."""
    query = "select beat_at from ml.heartbeat"
    [(before,)] = installed.rows(installed.primary, query)
    registry.sync(installed.databases, path)
    [(after,)] = installed.rows(installed.primary, query)
    assert after > before


def test_a_client_whose_replica_is_unknown_stops_no_other_and_is_reported(installed, client_ids, path):
    register(installed, next(client_ids), "adrift", replica="foresight_nowhere")
    register(installed, next(client_ids), "fine")
    assert registry.sync(installed.databases, path) == ["fine"]
    problems = registry.read(path).problems
    assert set(problems) == {"adrift"}
    assert "foresight_nowhere" in problems["adrift"]


def test_a_client_that_cannot_be_provisioned_stops_no_other(installed, client_ids, path):
    """A role that the owner may not give: somebody else has made it."""
    number = next(client_ids)
    role = sql.Identifier(names.client_role(number))
    with psycopg.connect(installed.replica, autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} superuser").format(role))
    register(installed, number, "hijacked")
    register(installed, next(client_ids), "well")
    try:
        assert registry.sync(installed.databases, path) == ["well"]
        assert set(registry.read(path).problems) == {"hijacked"}
    finally:
        with psycopg.connect(installed.replica, autocommit=True) as connection:
            connection.execute(sql.SQL("drop role {}").format(role))


def test_a_replica_that_is_away_takes_no_client_away(installed, client_ids, path):
    register(installed, next(client_ids), "settled")
    assert registry.sync(installed.databases, path) == ["settled"]
    register(installed, next(client_ids), "newcomer")

    def connect(conn_id):
        if conn_id == "foresight_replica":
            raise psycopg.OperationalError("connection refused")
        return psycopg.connect(installed.app(conn_id))

    assert registry.sync(Databases(connect), path) == ["settled"]
    assert "connection refused" in registry.read(path).problems["newcomer"]
    assert registry.sync(installed.databases, path) == ["newcomer", "settled"]
    assert registry.read(path).problems == {}


def test_a_replica_that_was_rebuilt_gets_its_clients_back(installed, client_ids, path):
    number = next(client_ids)
    register(installed, number, "rebuilt")
    registry.sync(installed.databases, path)
    with psycopg.connect(installed.replica) as connection:
        schema = sql.Identifier(names.client_schema(number))
        connection.execute(sql.SQL("drop schema {} cascade").format(schema))
    registry.sync(installed.databases, path)
    assert (f"ml_client_{number}",) in installed.rows(installed.replica, SCHEMAS)


def test_an_inactive_client_leaves_and_a_changed_one_changes(installed, client_ids, path):
    for slug in ("leaver", "stayer"):
        register(installed, next(client_ids), slug)
    registry.sync(installed.databases, path)
    execute(installed, "update ml.clients set active = false where slug = 'leaver'")
    execute(installed, "update ml.clients set schedule = '7 7 * * *' where slug = 'stayer'")
    assert registry.sync(installed.databases, path) == ["stayer"]
    assert [one["schedule"] for one in registry.read(path).clients] == ["7 7 * * *"]


def test_without_a_change_the_file_is_only_confirmed(installed, client_ids, path):
    register(installed, next(client_ids), "steady")
    registry.sync(installed.databases, path)
    content = path.read_text()
    os.utime(path, (0, 0))
    assert registry.read(path, max_age=registry.MAX_AGE).error
    registry.sync(installed.databases, path)
    assert path.read_text() == content
    assert registry.read(path, max_age=registry.MAX_AGE).error is None


def test_a_damaged_snapshot_is_written_anew(installed, client_ids, path):
    register(installed, next(client_ids), "mended")
    registry.sync(installed.databases, path)
    path.write_text("{")
    registry.sync(installed.databases, path)
    assert json.loads(path.read_text())["clients"][0]["slug"] == "mended"
