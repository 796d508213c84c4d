from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from include.foresight import migrations
from include.foresight.errors import ConfigurationError
from include.foresight.migrations import History
from include.foresight.replication import OURS
from include.foresight.sql import ROOT
from tests.support.installation import Installation

FIRST = "create table ml.applied (part text primary key, digest text not null, applied_at timestamptz);"


class Folder:
    """Migrations and functions of a test's own."""

    def __init__(self, place: Path) -> None:
        self.history = History(place / "migrations", place / "functions")
        self.history.migrations.mkdir()
        self.history.functions.mkdir()

    def migration(self, name: str, text: str, *, freeze: bool = True) -> None:
        (self.history.migrations / name).write_text(text)
        if freeze:
            self.freeze()

    def function(self, name: str, text: str) -> None:
        (self.history.functions / name).write_text(text)

    def freeze(self) -> None:
        scripts = sorted(self.history.migrations.glob("*.sql"))
        lines = [f"{hashlib.sha256(script.read_bytes()).hexdigest()}  {script.name}\n" for script in scripts]
        (self.history.migrations / "frozen.txt").write_text("".join(lines))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.migration("0001_first.sql", FIRST)
    return made


@pytest.fixture
def database(template: Installation, primary_superuser_dsn: str) -> Iterator[str]:
    """A database with the roles and the empty schema ml."""
    name = f"migrated_{secrets.token_hex(4)}"
    dsn = make_conninfo(primary_superuser_dsn, dbname=name)
    with psycopg.connect(primary_superuser_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            with psycopg.connect(dsn) as inside:
                inside.execute("create schema ml authorization foresight_owner")
            yield dsn
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def ask(dsn: str, query: str) -> list[tuple]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("side", ["primary", "replica"])
def test_the_released_migrations_are_as_they_were_frozen(side: str):
    assert migrations.history(side).scripts()


def test_from_nothing_and_then_nothing_more(database: str, folder: Folder):
    folder.migration("0002_second.sql", "create table ml.things (id integer); insert into ml.things values (1);")
    folder.function("010_count.sql", "create or replace view ml.count as select count(*) as value from ml.things;")
    assert migrations.upgrade(database, folder.history) == ["0001_first", "0002_second", "functions"]
    assert migrations.upgrade(database, folder.history) == []
    assert ask(database, "select value from ml.count") == [(1,)]
    assert ask(database, "select version_num from ml.alembic_version") == [("0002",)]
    owners = "select distinct relowner::regrole::text from pg_class where relnamespace = 'ml'::regnamespace"
    assert ask(database, owners) == [("foresight_owner",)]


def test_a_later_migration_runs_alone_and_brings_the_functions_again(database: str, folder: Folder):
    folder.function("010_answer.sql", "create or replace function ml.answer() returns integer return 1;")
    migrations.upgrade(database, folder.history)
    folder.function("010_answer.sql", "create or replace function ml.answer() returns integer return 2;")
    assert migrations.upgrade(database, folder.history) == ["functions"]
    assert ask(database, "select ml.answer()") == [(2,)]
    folder.migration("0002_second.sql", "create table ml.things (id integer);")
    assert migrations.upgrade(database, folder.history) == ["0002_second", "functions"]


def test_scripts_are_run_as_they_are_written(database: str, folder: Folder):
    folder.migration(
        "0002_percent.sql",
        "create table ml.things (value text); insert into ml.things values ('100 % of :x, %(y)s, %s and {z}');",
    )
    migrations.upgrade(database, folder.history)
    assert ask(database, "select value from ml.things") == [("100 % of :x, %(y)s, %s and {z}",)]


def test_a_migration_that_fails_leaves_what_was_before_it(database: str, folder: Folder):
    folder.migration("0002_broken.sql", "create table ml.things (id integer); select 1 / 0;")
    with pytest.raises(errors.DivisionByZero) as failure:
        migrations.upgrade(database, folder.history)
    assert "0002_broken.sql" in failure.value.__notes__[0]
    assert ask(database, "select version_num, to_regclass('ml.things') from ml.alembic_version") == [("0001", None)]
    folder.migration("0002_broken.sql", "create table ml.things (id integer);")
    assert migrations.upgrade(database, folder.history) == ["0002_broken", "functions"]


def test_a_function_that_fails_takes_the_last_migration_back(database: str, folder: Folder):
    migrations.upgrade(database, folder.history)
    folder.migration("0002_second.sql", "create table ml.things (id integer);")
    folder.function("010_broken.sql", "create view ml.broken as select nothing;")
    with pytest.raises(errors.UndefinedColumn):
        migrations.upgrade(database, folder.history)
    assert ask(database, "select version_num, to_regclass('ml.things') from ml.alembic_version") == [("0001", None)]


def test_two_at_once_do_it_once(database: str, folder: Folder):
    folder.migration("0002_slow.sql", "select pg_sleep(0.3); create table ml.things (id integer);")
    results: list[list[str]] = []

    def upgrade() -> None:
        results.append(migrations.upgrade(database, folder.history))

    threads = [threading.Thread(target=upgrade) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [[], ["0001_first", "0002_slow", "functions"]]


def test_a_database_ahead_of_the_checkout_is_refused(database: str, folder: Folder, tmp_path: Path):
    folder.migration("0002_second.sql", "create table ml.things (id integer);")
    migrations.upgrade(database, folder.history)
    (folder.history.migrations / "0002_second.sql").unlink()
    folder.freeze()
    with pytest.raises(ConfigurationError, match="is at revision 0002, which .* does not have"):
        migrations.upgrade(database, folder.history)


def test_an_edited_migration_is_refused_by_name(folder: Folder):
    folder.migration("0001_first.sql", FIRST + " -- edited", freeze=False)
    with pytest.raises(ConfigurationError, match=r"0001_first\.sql is not what frozen\.txt says"):
        folder.history.scripts()


def test_a_migration_without_a_hash_and_a_hash_without_a_migration_are_refused(folder: Folder):
    folder.migration("0002_second.sql", "select 1;", freeze=False)
    with pytest.raises(ConfigurationError, match=r"frozen\.txt has no line for 0002_second\.sql"):
        folder.history.scripts()
    folder.freeze()
    (folder.history.migrations / "0002_second.sql").unlink()
    with pytest.raises(ConfigurationError, match=r"names 0002_second\.sql, which is not in the folder"):
        folder.history.scripts()


def test_a_gap_in_the_numbers_is_refused(folder: Folder):
    folder.migration("0003_third.sql", "select 1;")
    with pytest.raises(ConfigurationError, match=re.escape("this one must be 0002")):
        folder.history.scripts()


def test_a_run_of_the_future_gets_the_moment_at_which_it_began(database: str, tmp_path: Path):
    """An earlier version let them through; without this no constraint could be set, and their client stood still."""
    ours = migrations.history("primary").scripts()
    made = Folder(tmp_path)
    before = [
        script for script in ours if script.name < next(one.name for one in ours if one.name.endswith("_runs.sql"))
    ]
    for script in before:
        made.migration(script.name, script.read_text())
    migrations.upgrade(database, made.history)
    with psycopg.connect(database) as connection:
        connection.execute("insert into ml.clients (client_id, slug, name) values (1, 'acme', 'Acme')")
        for name, as_of, request in (
            ("future", "2042-05-31", '{"as_of": "2042-05-31T00:00:00", "dry_run": true}'),
            ("absurd", "2042-05-31", "{}"),
            ("usual", "2026-01-02", "{}"),
        ):
            connection.execute(
                "insert into ml.nightly_runs (run_id, client_id, dag_run_id, as_of, request, code_version, started_at)"
                " values (gen_random_uuid(), 1, %s, %s, %s, 'x', '2026-01-02 03:00+00')",
                [name, as_of, request],
            )
    for script in ours[len(before) :]:
        made.migration(script.name, script.read_text())
    migrations.upgrade(database, made.history)
    assert ask(database, "select dag_run_id, as_of::text, binding from ml.nightly_runs order by dag_run_id") == [
        ("absurd", "2026-01-02 03:00:00", True),
        ("future", "2026-01-02 03:00:00", False),
        ("usual", "2026-01-02 00:00:00", True),
    ]
    assert ask(database, "select relforcerowsecurity from pg_class where oid = 'ml.nightly_runs'::regclass") == [
        (True,)
    ]


def test_the_copies_of_our_tables_have_the_columns_of_the_primarys(template: Installation):
    query = """
    select table_name, column_name, data_type, udt_name
    from information_schema.columns
    where table_schema = 'ml' and table_name = any(%(tables)s)
    order by table_name, ordinal_position
    """
    wanted = {"tables": list(OURS)}
    assert template.rows(template.replica, query, wanted) == template.rows(template.primary, query, wanted)


LOGGED = """
insert into ml.clients (client_id, slug, name) values (1, 'a', 'A');
insert into ml.nightly_runs (run_id, client_id, dag_run_id, as_of, code_version)
values ('00000000-0000-0000-0000-000000000001', 1, 'night', '2026-01-01', 'x');
insert into ml.prediction_log (
    prediction_uuid, client_id, model, model_name, rung, entity, entity_id, prediction_value, input_features,
    feature_hash, response_time_ms, source, run_id, as_of
)
select
    gen_random_uuid(), 1, model, 'm', 'linear', entity, entity_id, 1, '{}', 'h', 1, 'nightly',
    '00000000-0000-0000-0000-000000000001', '2026-01-01'
from (
    values
        ('complexity', 'issue', 7),
        ('complexity', 'issue', 7),
        ('rework', 'pull_request', 7),
        ('complexity', 'issue', 8)
) as rows (model, entity, entity_id);
insert into ml.issue_predictions (client_id, model, issue_id, key, prediction_uuid, value, grade, rung, as_of)
values (1, 'complexity', 7, 'K-7', gen_random_uuid(), 1, 'low', 'linear', '2026-01-01');
insert into ml.pull_request_predictions (
    client_id, model, pull_request_id, key, prediction_uuid, value, grade, rung, as_of
)
values (1, 'rework', 7, 'k/r#7', gen_random_uuid(), 1, 'low', 'linear', '2026-01-01');
insert into ml.anomalies (run_id, client_id, model, kind, entity_id, severity, sentence)
values ('00000000-0000-0000-0000-000000000001', 1, 'complexity', 'left_its_range', 7, 'low', 's');
"""


def test_what_was_logged_before_gets_the_keys_that_are_known(database: str, tmp_path: Path):
    folder = Folder(tmp_path)
    for path in sorted((ROOT / "migrations" / "primary").glob("*.sql")):
        if path.stem.endswith("_entity_keys"):
            migrations.upgrade(database, folder.history)
            with psycopg.connect(database) as connection:
                connection.execute(LOGGED)
        folder.migration(path.name, path.read_text())
    migrations.upgrade(database, folder.history)
    logged = "select model, entity_id, entity_key from ml.prediction_log order by model, entity_id"
    assert ask(database, logged) == [
        ("complexity", 7, "K-7"),
        ("complexity", 7, "K-7"),
        ("complexity", 8, None),
        ("rework", 7, "k/r#7"),
    ]
    assert ask(database, "select entity_id, entity_key from ml.anomalies") == [(7, "K-7")]
