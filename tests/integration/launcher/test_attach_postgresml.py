"""Attach and detach where PostgresML is, which lets nobody into its schema, with a login that is no superuser.

The tests are one story: each goes on where the one before has stopped.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from include.foresight import pgml
from include.foresight.database import REPLICA
from launcher import cli
from tests.support import estates
from tests.support.estates import Estate

HELD = """
select r.rolname::text
from pg_roles as r
where
    has_schema_privilege(r.oid, 'pgml', 'usage')
    and not r.rolsuper
    -- PostgreSQL's own roles for all tables of a server.
    and r.rolname !~ '^pg_'
order by 1
"""


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    with estates.make(tmp_path_factory.mktemp("attach"), with_postgresml=True) as made:
        yield made


def rows(place: str, query: str) -> list[tuple]:
    with psycopg.connect(place) as connection:
        return connection.execute(query).fetchall()


def test_a_dry_run_prints_the_grants(estate: Estate):
    code, said = estate.attach("--dry-run")
    assert (code, "replica: pgml: PostgresML" in said) == (cli.ADMINISTRATOR_NEEDED, True), said
    text = (estate.folder / "replica.sql").read_text()
    assert "grant delete on pgml.projects, pgml.snapshots, pgml.models to foresight_pgml;" in text
    assert "plpython" not in text
    assert estate.state() == estate.before
    for name in ("primary.sql", "replica.sql"):
        (estate.folder / name).unlink()


def test_the_grants_are_an_administrators(estate: Estate):
    code, said = estate.attach()
    assert code == cli.ADMINISTRATOR_NEEDED, said
    assert "grant usage on schema pgml to foresight_pgml;" in (estate.folder / "replica.sql").read_text()
    assert estate.administer() == ["primary", "replica"]


def test_attach_finishes_with_them(estate: Estate):
    code, said = estate.attach("--register-clients")
    assert (code, "replica: pgml 2.10.0 (2d2352d4f1) answers" in said) == (0, True), said
    assert "warning" not in said
    before = estate.state()
    assert estate.attach()[0] == 0
    assert estate.state() == before, "another attach has nothing to do"


def test_only_the_gateway_may_enter(estate: Estate):
    owners = [("foresight_owner",), ("foresight_pgml",), ("rds_admin",)]
    assert rows(estate.replica, HELD) == owners, "its role, and who installs it"
    with estate.databases().session(REPLICA) as replica, replica.as_client(1) as tx:
        assert pgml.version(tx).startswith("2.10.0 (")


def test_what_earlier_versions_have_granted_is_taken_back(estate: Estate):
    with psycopg.connect(estate.replica) as connection:
        connection.execute("grant usage on schema pgml to pgml_user")
        connection.execute("grant select, insert on all tables in schema pgml to pgml_user")
    code, said = estate.attach()
    assert code == cli.ADMINISTRATOR_NEEDED, said
    assert estate.administer() == ["replica"]
    assert estate.attach()[0] == 0
    assert ("pgml_user",) not in rows(estate.replica, HELD)
    assert rows(estate.replica, "select has_table_privilege('pgml_user', 'pgml.files', 'insert')") == [(False,)]


def test_a_missing_package_of_pythons_is_told(estate: Estate):
    with psycopg.connect(estate.replica) as connection:
        connection.execute("alter database shop set standin.without to 'catboost'")
    code, said = estate.attach()
    assert code == 0 and "cannot import the Python package catboost" in said
    with psycopg.connect(estate.replica) as connection:
        connection.execute("alter database shop reset standin.without")


def test_ids_of_models_are_kept_without_a_superuser(estate: Estate):
    with psycopg.connect(estate.primary) as connection:
        connection.execute(
            "insert into ml.nightly_runs (run_id, client_id, dag_run_id, as_of, code_version)"
            " values (gen_random_uuid(), 1, 'r', now(), 'x')"
        )
        connection.execute(
            "insert into ml.training_runs (model_uuid, run_id, client_id, model, model_name, spec_digest, status,"
            " replica_conn_id, pgml_model_id, code_version) select gen_random_uuid(), run_id, client_id, 'rework',"
            " 'p', 'd', 'trained', 'foresight_replica', 41, 'x' from ml.nightly_runs"
        )
    assert estate.attach()[0] == 0
    assert rows(estate.replica, "select last_value from pgml.models_id_seq") == [(41,)]


def test_detach_takes_the_gateway_away_and_leaves_postgresml(estate: Estate):
    for _ in range(4):
        code, said = estate.run("detach", "--everything", "--yes", "--sql", str(estate.folder))
        if not code:
            break
        assert estate.administer()
    assert code == 0, said
    assert rows(estate.replica, "select nspname::text from pg_namespace where nspname ~ '^(ml|pgml)'") == [("pgml",)]
    left = "select rolname::text from pg_roles where rolname ~ '^(foresight|pgml)' order by 1"
    assert rows(estate.replica, left) == [("pgml_user",)]
    granted = "select count(*) from pg_namespace, aclexplode(nspacl) where nspname = 'pgml' and grantee <> nspowner"
    assert rows(estate.replica, granted) == [(0,)]
