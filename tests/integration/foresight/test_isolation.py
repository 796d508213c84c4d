"""A client's role and what it reaches, on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors, sql

from include.foresight import deployment, names
from include.foresight.database import PRIMARY, REPLICA, Session
from include.foresight.replication import PUBLISHED
from tests.support.installation import Installation

ROWS = {
    "projects": {"key": "P", "name": "Project"},
    "workflows": {"step_name": "Done", "step_category": "Done"},
    "issuetype_mappings": {"issuetype_from": "Historia", "issuetype_to": "Story"},
    "status_mappings": {"status_from": "Closed", "status_to": "Done", "status_category": "Done"},
    "issuetypes": {"original_name": "Story", "hierarchy_level": 0},
    "statuses": {"original_name": "Closed", "category": "Done"},
    "issues": {"key": "P-1", "summary": "one"},
    "issue_changelogs": {"issue_id": 1, "transition_change_date": "2026-01-01"},
    "repositories": {"name": "code"},
    "pull_requests": {"number": 1},
    "pull_request_reviews": {"pull_request_id": 1},
    "pull_request_commits": {"pull_request_id": 1},
    "pull_request_comments": {"pull_request_id": 1},
    "jira_pull_request_links": {"issue_id": 1},
}


@pytest.fixture(scope="module")
def clients(installed: Installation, client_ids: Iterator[int]) -> tuple[int, int]:
    """Two clients; each has a row in every table, here and in our own."""
    both = next(client_ids), next(client_ids)
    for client in both:
        installed.add_client(client)
        for table, row in ROWS.items():
            installed.insert(table, row | {"client_id": client})
        values = {"client": client, "run": uuid4(), "model": uuid4()}
        with psycopg.connect(installed.primary) as connection:
            for query in OWN_ROWS:
                connection.execute(query, values)
    installed.catch_up()
    return both


OWN_ROWS = (
    "insert into ml.nightly_runs (run_id, client_id, dag_run_id, as_of, code_version)"
    " values (%(run)s, %(client)s, 'manual', '2026-01-01', 'test')",
    "insert into ml.validation_results (run_id, client_id, check_name, severity, passed, reason)"
    " values (%(run)s, %(client)s, 'volume', 'warn', true, 'enough')",
    "insert into ml.training_runs"
    " (model_uuid, run_id, client_id, model, model_name, spec_digest, status, replica_conn_id, code_version)"
    " values (%(model)s, %(run)s, %(client)s, 'complexity', 'c', 'd', 'trained', 'foresight_replica', 'test')",
    "insert into ml.gate_verdicts"
    " (verdict_id, run_id, model_uuid, client_id, model, passed, decision, judged_version, criteria, scores,"
    " rows_judged, sentence)"
    " values (%(run)s, %(run)s, %(model)s, %(client)s, 'complexity', true, 'promote', 0, '{}', '{}', 1, 'good')",
    "insert into ml.champions (client_id, model, version, rung, model_uuid, model_name, replica_conn_id, pgml_model_id)"
    " values (%(client)s, 'complexity', 1, 'boosted', %(model)s, 'c', 'foresight_replica', 1)",
    "insert into ml.promotion_ledger (client_id, model, version, to_rung, to_model_uuid, actor, reason)"
    " values (%(client)s, 'complexity', 1, 'boosted', %(model)s, 'nightly', 'first')",
    "insert into ml.prediction_log (prediction_uuid, client_id, model, model_name, rung, entity, entity_id,"
    " prediction_value, input_features, feature_hash, response_time_ms, source, as_of)"
    " values (%(run)s, %(client)s, 'complexity', 'c', 'boosted', 'issue', 1, 3, '{}', 'h', 1, 'nightly', '2026-01-01')",
    "insert into ml.issue_predictions (client_id, model, issue_id, prediction_uuid, value, grade, rung, as_of)"
    " values (%(client)s, 'complexity', 1, %(run)s, 3, 'high', 'boosted', '2026-01-01')",
    "insert into ml.pull_request_predictions"
    " (client_id, model, pull_request_id, prediction_uuid, value, grade, rung, as_of)"
    " values (%(client)s, 'rework', 1, %(run)s, 0.3, 'low', 'boosted', '2026-01-01')",
    "insert into ml.model_health (client_id, model, run_id, status, reason)"
    " values (%(client)s, 'complexity', %(run)s, 'healthy', 'fine')",
    "insert into ml.alerts (client_id, cause, subject) values (%(client)s, 'cause', 'subject')",
)
OWN_TABLES = (
    *("nightly_runs", "validation_results", "training_runs", "gate_verdicts", "champions", "promotion_ledger"),
    *("prediction_log", "issue_predictions", "pull_request_predictions", "model_health", "alerts", "clients"),
)


def own_and_all(session: Session, client: int, table: sql.Identifier, column: str) -> tuple[set[int], int]:
    """The client ids that the client's role sees in a table, and how many rows."""
    with session.as_client(client) as transaction:
        query = sql.SQL("select {} from {}").format(sql.Identifier(column), table)
        found = transaction.connection.execute(query).fetchall()
    return {row[0] for row in found}, len(found)


def test_a_client_sees_its_own_rows_of_every_copy(installed: Installation, clients: tuple[int, int]):
    with installed.databases.session(REPLICA) as session:
        for client in clients:
            for table in PUBLISHED:
                column = "id" if table == "clients" else "client_id"
                assert own_and_all(session, client, sql.Identifier("public", table), column) == ({client}, 1), table
            for table in ("clients", "champions"):
                expected = ({client}, 1 if table == "clients" else 1)
                assert own_and_all(session, client, sql.Identifier("ml", table), "client_id") == expected, table


def test_a_client_sees_its_own_rows_of_ours_on_the_primary(installed: Installation, clients: tuple[int, int]):
    with installed.databases.session(PRIMARY) as session:
        for client in clients:
            for table in OWN_TABLES:
                assert own_and_all(session, client, sql.Identifier("ml", table), "client_id") == ({client}, 1), table


def test_every_table_of_ours_is_under_forced_row_level_security(installed: Installation):
    """But for those that hold nothing of a client's."""
    query = """
    select relname::text
    from pg_class
    where relnamespace = 'ml'::regnamespace and relkind = 'r' and not (relrowsecurity and relforcerowsecurity)
    """
    open_to_all = {"heartbeat", "applied", "alembic_version"}
    assert {name for (name,) in installed.rows(installed.primary, query)} == open_to_all
    assert {name for (name,) in installed.rows(installed.replica, query)} == open_to_all


def test_a_client_cannot_write_another_ones_rows(installed: Installation, clients: tuple[int, int]):
    mine, other = clients
    insert = sql.SQL("insert into ml.alerts (client_id, cause, subject) values ({}, 'planted', 'subject')")
    with installed.databases.session(PRIMARY) as session:
        with pytest.raises(errors.InsufficientPrivilege, match="row-level security"), session.as_client(mine) as own:
            own.connection.execute(insert.format(other))
        with session.as_client(mine) as own:
            changed = own.connection.execute("update ml.nightly_runs set summary = 'mine'").rowcount
    assert changed == 1
    summaries = "select summary from ml.nightly_runs where client_id = " + str(other)
    assert installed.rows(installed.primary, summaries) == [(None,)]


@pytest.mark.parametrize("conn_id", [PRIMARY, REPLICA])
def test_the_login_alone_reaches_nothing(installed: Installation, clients: tuple[int, int], conn_id: str):
    with psycopg.connect(installed.app(conn_id), autocommit=True) as connection:
        for table in ("ml.clients", "ml.champions", "ml.heartbeat", "public.issues", "public.clients"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(f"select from {table}")
        for role in ("foresight_owner", "postgres", "foresight_replication", "platform"):
            with pytest.raises((errors.InsufficientPrivilege, errors.InvalidParameterValue)):
                connection.execute(f"set role {role}")


def test_a_client_cannot_write_a_copy(installed: Installation, clients: tuple[int, int]):
    with installed.databases.session(REPLICA) as session:
        for query in (
            "update public.issues set summary = ''",
            "delete from public.issues",
            "truncate public.issues",
            "insert into ml.champions (client_id, model) values (1, 'm')",
            "update ml.heartbeat set beat_at = null",
        ):
            with pytest.raises(errors.InsufficientPrivilege), session.as_client(clients[0]) as own:
                own.connection.execute(query)


def test_a_client_works_in_its_own_schema_and_in_no_other(installed: Installation, clients: tuple[int, int]):
    mine, other = clients
    values = {"id": 1, "run": uuid4()}
    with installed.databases.session(REPLICA) as session:
        with session.as_client(mine) as own:
            own.connection.execute(
                "insert into quarantine (entity, entity_id, check_name, reason, run_id)"
                " values ('issue', %(id)s, 'dates', 'ends before it starts', %(run)s)",
                values,
            )
            own.connection.execute("create table complexity_0 as select id from public.issues")
            own.connection.execute("drop table complexity_0")
        with session.as_client(other) as own:
            assert own.connection.execute("select count(*) from quarantine").fetchone() == (0,)
        schema = names.client_schema(mine)
        for query in (f"select from {schema}.quarantine", f"create table {schema}.planted (id integer)"):
            with pytest.raises(errors.InsufficientPrivilege), session.as_client(other) as own:
                own.connection.execute(query)
        with session.as_client(mine) as own:
            assert own.connection.execute("delete from quarantine").rowcount == 1


def test_the_fleet_sees_how_it_went_and_no_prediction(installed: Installation, clients: tuple[int, int]):
    with installed.databases.session(PRIMARY) as session:
        with session.as_fleet() as fleet:
            for table in ("clients", "nightly_runs", "champions", "promotion_ledger"):
                found = fleet.connection.execute(f"select client_id from ml.{table}").fetchall()
                assert {client for (client,) in found} >= set(clients), table
        for table in ("ml.prediction_log", "ml.issue_predictions", "ml.pull_request_predictions", "public.issues"):
            with pytest.raises(errors.InsufficientPrivilege), session.as_fleet() as fleet:
                fleet.connection.execute(f"select from {table}")
    with installed.databases.session(REPLICA) as session:
        with pytest.raises(errors.InsufficientPrivilege), session.as_fleet() as fleet:
            fleet.connection.execute("select from public.issues")


def test_the_reader_sees_the_predictions_beside_the_platforms_rows(installed: Installation, clients: tuple[int, int]):
    mine, _ = clients
    with psycopg.connect(installed.primary) as connection:
        connection.execute(
            "update ml.issue_predictions set issue_id = (select id from public.issues where client_id = %(client)s)"
            " where client_id = %(client)s",
            {"client": mine},
        )
    with installed.databases.session(PRIMARY) as session, session.transaction(names.READER) as reader:
        row = reader.connection.execute(
            "select key, ml_estimated_story_points, ml_estimation_confidence"
            " from ml.issues_enriched where client_id = %s",
            [mine],
        ).fetchone()
    assert row == ("P-1", 3.0, "high")


@pytest.mark.parametrize("query", ["update ml.promotion_ledger set reason = ''", "delete from ml.promotion_ledger"])
def test_the_ledger_is_append_only(installed: Installation, clients: tuple[int, int], query: str):
    with installed.databases.session(PRIMARY) as session:
        with pytest.raises(errors.InsufficientPrivilege), session.as_client(clients[0]) as own:
            own.connection.execute(query)
    for role in ("foresight_owner", "postgres"):
        with psycopg.connect(installed.primary) as connection:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
            with pytest.raises(errors.RaiseException, match="promotion_ledger is append-only"):
                connection.execute(query)
    with psycopg.connect(installed.primary) as connection:
        with pytest.raises(errors.RaiseException, match="truncate refused"):
            connection.execute("truncate ml.promotion_ledger")


def test_provisioning_again_changes_nothing(installed: Installation, clients: tuple[int, int]):
    def state() -> list[tuple]:
        roles = (
            "select rolname, array(select roleid::regrole::text from pg_auth_members where member = r.oid)"
            " from pg_roles as r"
        )
        acls = "select relname::text, relacl::text, xmin::text from pg_class where relname = 'quarantine'"
        schemas = "select nspname::text, nspacl::text, xmin::text from pg_namespace"
        stamp = "select client_id, provisioned_at from ml.clients"
        return [
            sorted(installed.rows(place, query))
            for place, queries in {
                installed.primary: (roles, schemas, stamp),
                installed.replica: (roles, acls, schemas),
            }.items()
            for query in queries
        ]

    before = state()
    deployment.provision(installed.primary, installed.replica, *clients)
    assert state() == before


def test_a_client_that_is_not_registered_is_not_provisioned(installed: Installation, client_ids: Iterator[int]):
    stranger = next(client_ids)
    with pytest.raises(errors.RaiseException, match=f"client {stranger} is not in ml.clients"):
        deployment.provision(installed.primary, installed.replica, stranger)


def test_only_the_fleet_provisions(installed: Installation, clients: tuple[int, int]):
    for conn_id in (PRIMARY, REPLICA):
        with installed.databases.session(conn_id) as session:
            with session.as_fleet() as fleet:
                fleet.connection.execute("select ml.provision_client(%s)", [clients[0]])
            with pytest.raises(errors.InsufficientPrivilege), session.as_client(clients[0]) as own:
                own.connection.execute("select ml.provision_client(%s)", [clients[1]])
