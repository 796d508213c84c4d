"""The SQL of docs/runbook.md does what is written there."""

from __future__ import annotations

import re
from uuid import UUID

import psycopg
import pytest

from tests.architecture.source import ROOT
from tests.support.installation import Installation

MODEL = UUID("00000000-0000-0000-0000-000000000000")
CLIENT = 7


def sql_of(section: str) -> list[str]:
    """The SQL blocks of a section."""
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    part = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```sql\n(.*?)```", part, re.DOTALL)


def run(dsn: str, script: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(script)


@pytest.fixture(scope="module")
def acme(installed: Installation) -> Installation:
    """The client of the runbook's example, a champion of version 3 and an earlier model of its."""
    installed.insert("clients", {"id": CLIENT, "name": "Acme"})
    (register,) = sql_of("Add a client")
    run(installed.primary, register)
    for dsn in (installed.replica, installed.primary):
        run(dsn, f"select ml.provision_client({CLIENT})")
    run(
        installed.primary,
        f"""
        insert into ml.nightly_runs (run_id, client_id, dag_run_id, as_of, code_version)
        values ('{MODEL}', {CLIENT}, 'one', '2025-01-01', 'x');
        insert into ml.training_runs (
            model_uuid, run_id, client_id, model, model_name, spec_digest, status, rung, replica_conn_id, pgml_model_id,
            feature_hash, code_version
        )
        values (
            '{MODEL}', '{MODEL}', {CLIENT}, 'complexity', 'p', 'x', 'trained', 'boosted', 'foresight_replica', 11,
            'f', 'x'
        );
        insert into ml.champions (client_id, model, version, rung, model_name, replica_conn_id)
        values ({CLIENT}, 'complexity', 3, 'recent', 'p', 'foresight_replica'),
            ({CLIENT}, 'rework', 3, 'recent', 'p', 'foresight_replica');
        """,
    )
    return installed


def test_a_champion_is_rolled_back_once(acme: Installation):
    looked, rollback = sql_of("Roll back by hand")
    run(acme.primary, looked)
    champions = (
        "select version, rung, model_uuid, pgml_model_id, feature_hash from ml.champions where model = 'complexity'"
    )
    for _ in range(2):  # the second finds another version and changes nothing
        run(acme.primary, rollback)
        assert acme.rows(acme.primary, champions) == [(4, "boosted", MODEL, 11, "f")]
        ledger = (
            "select version, from_rung, from_model_uuid, to_rung, to_model_uuid, actor, reason from ml.promotion_ledger"
        )
        assert acme.rows(acme.primary, ledger) == [(4, "recent", None, "boosted", MODEL, "your name", "why")]
    assert acme.rows(acme.primary, "select version from ml.champions where model = 'rework'") == [(3,)]


def test_a_rebuilt_replica_is_tidied_up_on_the_primary_and_keeps_old_ids(acme: Installation):
    drop_slots, keep_ids = sql_of("Rebuild the replica")
    with psycopg.connect(acme.primary, autocommit=True) as connection:
        connection.execute("select pg_create_logical_replication_slot('foresight_old_1', 'pgoutput')")
        assert {name for name, _ in connection.execute(drop_slots)} == {"foresight_old_1"}
        assert connection.execute("select count(*) from pg_replication_slots where active").fetchone()[0] >= 1
    run(acme.replica, keep_ids)
    assert acme.rows(acme.replica, "select nextval('pgml.models_id_seq')") == [(1235,)]


def test_a_client_goes_and_what_was_learned_is_erased(acme: Installation):
    leave, erase = sql_of("Remove a client")
    run(acme.primary, leave)
    assert acme.rows(acme.primary, f"select active from ml.clients where client_id = {CLIENT}") == [(False,)]
    run(
        acme.replica,
        f"""
        insert into pgml.projects (name, task)
        values ('issue_complexity_estimator_client_{CLIENT}_v1', 'regression'),
            ('issue_complexity_estimator_client_{CLIENT}7_v1', 'regression')
        """,
    )
    run(
        acme.replica,
        f"""
        insert into pgml.snapshots (relation_name, y_column_name, test_size, test_sampling, status)
        select format('ml_client_%s.complexity_ordered', id), '{{label}}', 2, 'last', 'successful'
        from unnest(array[{CLIENT}, {CLIENT}7]) as id
        """,
    )
    run(acme.replica, erase)
    snapshots = acme.rows(acme.replica, "select relation_name from pgml.snapshots")
    assert snapshots == [(f"ml_client_{CLIENT}7.complexity_ordered",)]
    assert acme.rows(acme.replica, f"select to_regnamespace('ml_client_{CLIENT}')") == [(None,)]
    left = [("issue_complexity_estimator_client_77_v1",)]
    assert acme.rows(acme.replica, "select name from pgml.projects") == left
