"""pgml as an extension: made, adopted, upgraded, dumped and restored, in several databases of one cluster.

On the PostgreSQL of this machine (15 in the project's own runs); what the scripts use is the same in 16 and 17.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from launcher import install_pgml, pgml_extension
from launcher.clusters import Cluster, server_environment
from launcher.errors import LauncherError
from launcher.system import postgres_bin, server_user
from tests.support.servers import CARELESS, free_port

ROW = "array[0.5, 0.5]::real[]"
TABLES = (
    "projects",
    "snapshots",
    "models",
    "deployments",
    "files",
    "project_owners",
    "snapshot_owners",
    "model_reports",
)


@dataclass(frozen=True)
class Place:
    """A PostgreSQL installation of our own: the machine's, with a folder for extensions that is not the machine's."""

    cluster: Cluster
    pg_config: Path
    extensions: Path

    def connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(self.cluster.conninfo(database), autocommit=True)

    def create(self, database: str) -> None:
        with self.connect("postgres") as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(database)))

    def program(self, name: str, *arguments: str, given: str | None = None) -> str:
        command = [self.cluster.bin / name, *arguments]
        return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout

    def dump(self, database: str, *options: str) -> str:
        return self.program("pg_dump", "--dbname", self.cluster.conninfo(database), *options)

    def restore(self, dump: str, database: str) -> None:
        self.create(database)
        options = ["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--dbname", self.cluster.conninfo(database)]
        self.program("psql", *options, given=dump)


@pytest.fixture(scope="module")
def place(engine_venv: Path) -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="pgml-", dir="/var/tmp"))
    folder.chmod(0o755)
    found = install_pgml.look(postgres_bin() / "pg_config")
    # PostgreSQL finds its files from where its programs are, if they lie to each other as they did when it was built.
    binaries, shared = (folder / path.relative_to("/") for path in (postgres_bin(), found.shared))
    shutil.copytree(postgres_bin(), binaries)
    (binaries.parent / "lib").symlink_to(postgres_bin().parent / "lib")
    (shared / "extension").mkdir(parents=True)
    for there in (shared, shared / "extension"):
        for one in (found.shared / there.relative_to(shared)).iterdir():
            if one.name != "extension" and not one.name.startswith("pgml"):
                (there / one.name).symlink_to(one)
    # The venv of the tests is shared: its libraries, with this checkout's package beside them.
    environment = folder / "venv"
    environment.mkdir()
    for one in engine_venv.iterdir():
        if one.name != "lib":
            shutil.copytree(one, environment / one.name, symlinks=True) if one.is_dir() and not one.is_symlink() else (
                shutil.copy(one, environment / one.name, follow_symlinks=False)
            )
    (site,) = engine_venv.glob("lib/python3*/site-packages")
    own = environment / site.relative_to(engine_venv)
    own.mkdir(parents=True)
    for one in site.iterdir():
        if not one.name.startswith((".", "pgml_engine")):
            (own / one.name).symlink_to(one)
    cluster = Cluster(
        name="extension",
        folder=folder / "cluster",
        port=free_port(),
        password="extension",
        owner=server_user(),
        bin=binaries,
        settings=CARELESS,
        environment=server_environment(environment),
    )
    try:
        install_pgml.install(binaries / "pg_config", environment, lambda line: None, dry_run=False)
        cluster.create()
        cluster.start()
        yield Place(cluster, binaries / "pg_config", shared / "extension")
    finally:
        cluster.stop(patience=10)
        shutil.rmtree(folder)


def fill(connection: psycopg.Connection) -> None:
    """Rows, and models of two owners; one has a copy of its rows, another has been shared."""
    connection.execute(
        "do $$ begin if to_regrole('an_owner') is null then "
        "create role an_owner in role pgml_trainer; create role a_reader in role pgml_predictor; end if; end $$"
    )
    connection.execute(
        "create table public.rows as select i as x1, i % 7 as x2, i * 2 + 1 as y from generate_series(1, 99) i"
    )
    connection.execute("grant select on public.rows to an_owner")
    connection.execute("select pgml.train('of an administrator', 'regression', 'rows', 'y', 'xgboost')")
    connection.execute("set role an_owner")
    connection.execute(
        "select pgml.train('of an owner', 'regression', 'rows', 'y', 'linear', materialize_snapshot => true)"
    )
    connection.execute("select pgml.share_project('of an owner', 'a_reader')")
    connection.execute("reset role")


def state(connection: psycopg.Connection) -> dict[str, object]:
    """All that is to survive: rows, answers, who sees what, and the privileges on every object of the schema."""
    found: dict[str, object] = {
        table: connection.execute(f"select t::text from pgml.{table} as t order by 1").fetchall() for table in TABLES
    }
    copies = "select relname from pg_class where relnamespace = 'pgml'::regnamespace and relname ~ '^snapshot_[0-9]+$'"
    for (name,) in connection.execute(copies).fetchall():
        found[name] = connection.execute(f"select count(*) from pgml.{name}").fetchone()
    for role in ("an_owner", "a_reader"):
        connection.execute(f"set role {role}")
        found[role] = connection.execute(f"select name, pgml.predict(name, {ROW}) from pgml.deployed_models").fetchall()
        connection.execute("reset role")
    found["privileges"] = connection.execute(
        "select o.name, a.grantee::regrole::text, a.privilege_type from ("
        "select oid::regprocedure::text as name, proacl as acl from pg_proc where pronamespace = 'pgml'::regnamespace "
        "union all select oid::regclass::text, relacl from pg_class where relnamespace = 'pgml'::regnamespace "
        "union all select nspname, nspacl from pg_namespace where nspname = 'pgml'"
        ") as o, aclexplode(o.acl) as a order by 1, 2, 3"
    ).fetchall()
    found["policies"] = connection.execute(
        "select tablename, policyname, permissive, cmd, qual, with_check from pg_policies where schemaname = 'pgml' "
        "order by 1, 2"
    ).fetchall()
    return found


def outside(connection: psycopg.Connection) -> list[str]:
    """Functions, types, tables and sequences of the schema that are not the extension's."""
    rows = connection.execute(
        "select o.name from ("
        "select 'pg_proc'::regclass as class, oid, oid::regprocedure::text as name from pg_proc "
        "where pronamespace = 'pgml'::regnamespace union all "
        "select 'pg_class', oid, oid::regclass::text from pg_class where relnamespace = 'pgml'::regnamespace "
        "and relkind in ('r', 'v', 'S') union all "
        "select 'pg_type', oid, oid::regtype::text from pg_type where typnamespace = 'pgml'::regnamespace "
        "and typtype = 'e') as o "
        "where not exists (select from pg_depend as d where d.classid = o.class and d.objid = o.oid "
        "and d.deptype = 'e') "
        "order by 1"
    )
    return [row[0] for row in rows]


@pytest.fixture(scope="module")
def made(place: Place) -> str:
    """A database in which the extension was made and used."""
    place.create("made")
    with place.connect("made") as connection:
        connection.execute("create extension pgml cascade")
        fill(connection)
    return "made"


def test_it_is_an_extension_with_all_that_the_scripts_make(place, made, install_pgml):
    place.create("by_script")
    with place.connect("made") as extension, place.connect("by_script") as script:
        with script.transaction():
            install_pgml(script)
        assert outside(extension) == ["pgml.snapshot_2"]
        asked = (
            "select oid::regprocedure::text, prosrc, provolatile, proconfig, prosecdef from pg_proc "
            "where pronamespace = 'pgml'::regnamespace order by 1"
        )
        assert extension.execute(asked).fetchall() == script.execute(asked).fetchall()
        fill(script)
        theirs, ours = state(script), state(extension)
        for part in ("privileges", "policies", "an_owner", "a_reader"):
            assert ours[part] == theirs[part] and ours[part]
        assert script.execute("select extversion from pg_extension where extname = 'pgml'").fetchone() is None
        version = extension.execute("select extversion from pg_extension where extname = 'pgml'").fetchone()
        assert version == (pgml_extension.version(),)


@pytest.mark.parametrize("options", [(), ("--inserts",)])
def test_a_dump_brings_everything_back(place, made, options):
    """Also into a second database of the same cluster, where both then answer with their own models."""
    copy = f"copy_{len(options)}"
    place.restore(place.dump(made, *options), copy)
    with place.connect(made) as before, place.connect(copy) as after:
        assert state(after) == state(before)
        assert after.execute("select nextval('pgml.models_id_seq')").fetchone() == (3,)
        after.execute("select pgml.drop_project('of an administrator', true)")
        after.execute("select pgml.train('another', 'regression', 'rows', 'y', 'linear')")
        answers = "select count(*) from pgml.deployed_models where name = 'of an administrator'"
        assert (before.execute(answers).fetchone(), after.execute(answers).fetchone()) == ((1,), (0,))


def test_an_installation_by_script_is_adopted_and_keeps_its_models(place, made, install_pgml):
    place.create("adopted")
    with place.connect("adopted") as connection:
        with connection.transaction():
            install_pgml(connection)
        fill(connection)
        connection.execute("select pgml.load_dataset('iris')")
        before = state(connection)
        connection.execute("create extension pgml")
        assert state(connection) == before
        assert outside(connection) == ["pgml.iris", "pgml.snapshot_2"]
    place.restore(place.dump("adopted"), "adopted_copy")
    with place.connect("adopted_copy") as connection:
        assert state(connection) == before
    with place.connect("adopted") as connection, pytest.raises(psycopg.errors.DuplicateObject, match="extension pgml"):
        install_pgml(connection)


def test_an_older_version_is_upgraded(place, made):
    """The older one has another name for a function, and so lacks one that the new one has."""
    new = pgml_extension.version()
    body = (place.extensions / f"pgml--{new}.sql").read_text()
    older = place.extensions / "pgml--0.0.9-0a1b2c3d.sql"
    older.write_text(body.replace("pgml.share_project", "pgml.formerly_share_project"))
    for name, text in pgml_extension.files(place.extensions).items():
        (place.extensions / name).write_text(text)
    place.create("upgraded")
    with place.connect("upgraded") as connection:
        connection.execute("create extension pgml version '0.0.9-0a1b2c3d' cascade")
        connection.execute("select pgml.formerly_share_project('nothing', 'nobody') where false")
        connection.execute("alter extension pgml update")
        assert connection.execute("select extversion from pg_extension where extname = 'pgml'").fetchone() == (new,)
        fill(connection)
        after = state(connection)
    with place.connect(made) as fresh:
        assert after["a_reader"] == state(fresh)["a_reader"]


def test_nobody_but_a_superuser_makes_it(place, made):
    place.create("refused")
    with place.connect("refused") as connection:
        connection.execute("create extension plpython3u")
        connection.execute("create role an_upstart")
        connection.execute("grant create on database refused to an_upstart")
        connection.execute("set role an_upstart")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("create extension pgml")


def test_dropping_it_takes_a_word_when_there_are_copies(place, made):
    place.restore(place.dump(made), "dropped")
    with place.connect("dropped") as connection:
        with pytest.raises(psycopg.errors.DependentObjectsStillExist, match="snapshot_2"):
            connection.execute("drop extension pgml")
        connection.execute("drop extension pgml cascade")
        assert connection.execute("select to_regclass('pgml.snapshot_2') is not null").fetchone() == (True,)
        assert connection.execute("select to_regclass('pgml.models') is null").fetchone() == (True,)


def test_a_control_file_of_another_pgml_stays(tmp_path):
    control = tmp_path / "pgml.control"
    control.write_text("comment = 'PostgresML'\ndefault_version = '2.10.0'\n")
    with pytest.raises(LauncherError, match="belongs to another pgml"):
        pgml_extension.files(tmp_path)
    assert control.read_text().startswith("comment = 'PostgresML'") and list(tmp_path.iterdir()) == [control]


def test_a_dry_run_writes_nothing_and_says_what_it_would(place, engine_venv, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in place.extensions.iterdir()}
    (place.extensions / "pgml.control").write_text(pgml_extension.MARK + "\n")
    said: list[str] = []
    install_pgml.install(place.pg_config, tmp_path / "venv", said.append, dry_run=True)
    assert (place.extensions / "pgml.control").read_text() == pgml_extension.MARK + "\n"
    (place.extensions / "pgml.control").write_text(pgml_extension.control())
    assert set(before) == set(place.extensions.iterdir()) and not (tmp_path / "venv").exists()
    text = "\n".join(said)
    assert f"would write {place.extensions / 'pgml.control'}" in text
    assert f"PATH = '{tmp_path / 'venv'}/bin:/usr/bin:/bin'" in text and "would make the virtual environment" in text


@pytest.mark.parametrize(
    ("answers", "named"),
    [
        ({"--version": "PostgreSQL 14.9", "--sharedir": "{tmp}"}, "PostgreSQL 14; pgml needs 15"),
        ({"--version": "PostgreSQL 17.2", "--sharedir": "{tmp}"}, "postgresql-plpython3-17"),
        ({"--version": "git version 2"}, "is not PostgreSQL's"),
    ],
)
def test_a_server_that_cannot_have_it_is_refused(tmp_path, answers, named):
    program = tmp_path / "pg_config"
    lines = "".join(f"{word}) echo '{text.format(tmp=tmp_path)}' ;;\n" for word, text in answers.items())
    program.write_text(f"#!/bin/sh\ncase $1 in\n{lines}esac\n")
    program.chmod(0o755)
    with pytest.raises(LauncherError, match=named):
        install_pgml.look(program)
