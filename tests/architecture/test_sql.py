"""How the files of sql/ are named, written and used."""

from __future__ import annotations

import ast
import hashlib
import re
from pathlib import Path

import pytest

from tests.architecture.source import (
    LIBRARY,
    ROOT,
    SQL,
    STATEMENTS,
    called,
    name_of,
    python_files,
    sql_files,
    strings,
    tree_of,
    without_comments,
    without_texts,
)

FOLDERS = {"anomalies", "bootstrap", "checks", "features", "functions", "gateway", "migrations", "pgml", "statements"}
EVERY = sql_files(*sorted(FOLDERS))
NAMES = {
    "migrations": r"\d{4}_[a-z0-9_]+\.sql",
    "functions": r"\d{3}_[a-z0-9_]+\.sql",
    "pgml": r"\d{3}_[a-z0-9_]+\.sql",
}

SPEAKING = ("sql/gateway/", "sql/pgml/", "sql/statements/pgml/")
# What looks at pgml from outside, and why it must.
SPEAKS_OF_PGML = {
    "sql/statements/deployment/reserve_models.sql": "set-up keeps a rebuilt replica from reusing the ids of models",
    "sql/bootstrap/postgresml.sql": "the grants that PostgresML itself does not give",
}

KEYWORDS = (
    "ALTER AND AS BY CASE CREATE CROSS DELETE DISTINCT DO DROP ELSE END EXISTS FROM FUNCTION GRANT GROUP IN INSERT "
    "INTO IS JOIN LATERAL LEFT LIMIT NOT NULL ON OR ORDER OVER PARTITION RETURNING RETURNS SELECT SET TABLE THEN TO "
    "UNION UPDATE USING VALUES VIEW WHEN WHERE WITH"
).split()
SHOUTED = re.compile(rf"\b(?:{'|'.join(KEYWORDS)})\b")

CLOCK = re.compile(
    r"\b(?:now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday)\s*\(|"
    r"\b(?:current_date|current_time|current_timestamp|localtime|localtimestamp)\b"
)


def test_the_folders_are_those_of_the_readme():
    """sql/README.md says what holds for each folder; a folder that it does not know has no rules."""
    assert {path.name for path in SQL.iterdir() if path.is_dir()} == FOLDERS
    described = (SQL / "README.md").read_text(encoding="utf-8")
    assert [folder for folder in sorted(FOLDERS) if f"`{folder}/" not in described] == []


def named_well(path: Path) -> bool:
    folder = path.relative_to(SQL).parts[0]
    return bool(re.fullmatch(NAMES.get(folder, r"[a-z][a-z0-9_]*\.sql"), path.name))


def test_files_are_named_alike():
    """Order is part of the name where files are run in order."""
    assert [name_of(path) for path in EVERY if not named_well(path)] == []
    for bad in ("functions/primary/issues.sql", "migrations/primary/1_x.sql", "checks/No-Rows.sql"):
        assert not named_well(SQL / bad)


def test_functions_are_numbered_once():
    """Two files of one number would be run in an order that nobody chose."""
    for folder in (SQL / "functions" / "primary", SQL / "functions" / "replica", SQL / "pgml"):
        numbers = [path.name[:3] for path in folder.glob("*.sql")]
        assert len(numbers) == len(set(numbers)), name_of(folder)


def begins_with_its_reason(text: str) -> bool:
    return bool(re.match(r"-- \S", text))


@pytest.mark.parametrize(
    "path", sql_files("statements", "checks", "functions", "gateway", "migrations", "features"), ids=name_of
)
def test_a_file_begins_with_its_reason(path: Path):
    """The name says what it does; the first line says what for, or which trap it avoids."""
    assert begins_with_its_reason(path.read_text(encoding="utf-8"))


def test_a_file_without_reason_is_seen():
    assert not begins_with_its_reason("select 1\n") and not begins_with_its_reason("--\nselect 1")


@pytest.mark.parametrize("path", EVERY, ids=name_of)
def test_keywords_are_small_and_lines_clean(path: Path):
    """One way of writing, so that a difference between two versions is a difference."""
    text = path.read_text(encoding="utf-8")
    assert SHOUTED.findall(without_texts(text)) == []
    assert "\t" not in text and text.endswith("\n") and not re.search(r" +$", text, re.MULTILINE)


def test_a_shouted_keyword_is_seen():
    assert SHOUTED.findall(without_texts("SELECT 1 FROM t")) == ["SELECT", "FROM"]
    assert SHOUTED.findall(without_texts("select 'WHERE' -- AND so on\nfrom t")) == []


@pytest.mark.parametrize("path", sql_files("features", "checks"), ids=name_of)
def test_time_is_a_parameter(path: Path):
    """A run can be repeated as of any moment; on a closed epic `now() - created` is the label."""
    assert CLOCK.findall(without_texts(path.read_text(encoding="utf-8"))) == []


def test_a_clock_is_seen():
    for bad in ("select now()", "select clock_timestamp ()", "where created < current_date"):
        assert CLOCK.findall(without_texts(bad))
    assert CLOCK.findall(without_texts("select 'now()' as word -- now()")) == []


def says_pgml(sql: str) -> bool:
    return bool(re.search(r"\b(?:ml_)?pgml\s*\.\s*[a-z_]", without_comments(sql)))


def test_one_folder_of_statements_says_pgml():
    """PostgresML has traps (one call per transaction, ids, casts); they are avoided in one place."""
    speaking = {name_of(path) for path in EVERY if says_pgml(path.read_text(encoding="utf-8"))}
    elsewhere = {name for name in speaking if not name.startswith(SPEAKING)}
    assert elsewhere == SPEAKS_OF_PGML.keys()
    assert says_pgml("select pgml.predict(1, 2)") and not says_pgml("-- pgml.predict\nselect 1")
    assert says_pgml("select ml_pgml.version()")


def statements_of_pgml(tree: ast.AST) -> list[str]:
    """Paths of its statements, its functions and tables; a message may speak of pgml.deploy."""
    called_for = re.compile(r"^pgml/|^pgml\.\w+$|\b(?:ml_)?pgml\.\w+\s*\(|\b(?:from|join|into|update)\s+(?:ml_)?pgml\.")
    return [text for text in strings(tree) if called_for.search(text)]


def test_one_module_calls_pgml():
    """What only one of the two engines can do is known to include/foresight/pgml.py and to nobody else."""
    paths = python_files("dags", "demo", "include/foresight", "launcher", "plugins")
    found = {name_of(path) for path in paths if statements_of_pgml(tree_of(path))}
    assert found == {"include/foresight/pgml.py"}
    for bad in ("tx.run('pgml/train')", "sql.SQL('pgml.predict')", "x.execute('select id from pgml.models')"):
        assert statements_of_pgml(ast.parse(bad))
    assert statements_of_pgml(ast.parse("log.info('pgml.deploy failed')")) == []


RUNNERS = {"run", "one", "all", "statement"}


def asked_for(tree: ast.AST) -> set[str]:
    """Paths of statements that a module runs: first arguments of the calls that take one."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if called(node) in RUNNERS and node.args:  # type: ignore[attr-defined]
            texts = [one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant)]  # type: ignore[attr-defined]
            found |= {text for text in texts if isinstance(text, str) and re.fullmatch("[a-z_]+/[a-z_]+", text)}
    return found


def all_asked_for() -> dict[str, set[str]]:
    paths = python_files("dags", "include/foresight", "launcher", "plugins")
    found = {name_of(path): asked_for(tree_of(path)) for path in paths}
    # Without psycopg's composition, by the bare names of the files.
    report = ROOT / "launcher" / "report.py"
    found[name_of(report)] |= {
        f"report/{text}" for text in strings(tree_of(report)) if (STATEMENTS / "report" / f"{text}.sql").is_file()
    }
    return {name: asked for name, asked in found.items() if asked}


def test_every_statement_that_is_asked_for_exists():
    """A path with a mistake in it would be found by a client's night."""
    missing = {
        f"{name}: {path}"
        for name, asked in all_asked_for().items()
        for path in asked
        if not (STATEMENTS / f"{path}.sql").is_file()
    }
    assert missing == set()


def test_every_statement_is_asked_for():
    """A statement that nothing runs is read and repaired for nothing."""
    there = {path.relative_to(STATEMENTS).with_suffix("").as_posix() for path in sql_files("statements")}
    assert there - set().union(*all_asked_for().values()) == set()


def test_statements_are_found_in_calls():
    text = "tx.run('a/b' if x else 'c/d', v)\nstatement('e/f', hole=statement('g/h'))\nlog.info('i/j')"
    assert asked_for(ast.parse(text)) == {"a/b", "c/d", "e/f", "g/h"}


def test_folders_of_statements_are_named_after_modules():
    """Either side is found from the other."""
    modules = {path.stem for path in [*LIBRARY.glob("*.py"), *(ROOT / "launcher").glob("*.py")]}
    assert {path.name for path in STATEMENTS.iterdir()} - modules == set()


# Run without parameters, where the driver sends several at once; they only make sense together.
SEVERAL = {"pooling/hold", "replication/drop_subscription", "replication/secure_copy"}


def number_of_statements(sql: str) -> int:
    return len([part for part in without_texts(sql).split(";") if part.strip()])


def test_a_file_is_one_statement():
    """Its name can then say what it does, and the server takes parameters for one only."""
    several = {
        path.relative_to(STATEMENTS).with_suffix("").as_posix()
        for path in sql_files("statements")
        if number_of_statements(path.read_text(encoding="utf-8")) != 1
    }
    assert several == SEVERAL
    assert number_of_statements("select ';' as a; -- x;\nselect 2") == 2


def unfixed_definers(sql: str) -> list[str]:
    """Functions with the rights of their owner that take the search_path of their caller."""
    bodies = re.split(r"(?=create (?:or replace )?function)", without_comments(sql))
    return [
        body.split("(")[0]
        for body in bodies
        if "security definer" in body and "set search_path = pg_catalog" not in body
    ]


def test_functions_with_the_owners_rights_fix_their_path():
    """Otherwise whoever calls one puts operators of his own into it."""
    for path in EVERY:
        assert unfixed_definers(path.read_text(encoding="utf-8")) == [], name_of(path)
    assert unfixed_definers("create function f() returns void language sql security definer as $$ select 1 $$")


def leaking_views(sql: str) -> list[str]:
    """Views that read with their owner's rights, or keep what they have read."""
    made = re.findall(
        r"create\s+(?:or replace\s+)?((?:materialized\s+)?view\s+[^(]+?(?:\([^)]*\))?)\s+as\b", without_texts(sql)
    )
    return [view for view in made if view.startswith("materialized") or "security_invoker = true" not in view]


def test_views_read_as_their_caller():
    """A view of the owner's would show every client's rows: row-level security is that of who reads."""
    for path in sql_files("functions", "migrations", "pgml", "statements"):
        assert leaking_views(path.read_text(encoding="utf-8")) == [], name_of(path)
    assert leaking_views("create view ml.a as select 1") and leaking_views("create materialized view a as select 1")


@pytest.mark.parametrize("side", ["primary", "replica"])
def test_released_migrations_are_frozen(side: str):
    """A migration that has run somewhere is never edited: that database would differ from a new one for ever."""
    folder = SQL / "migrations" / side
    lines = (folder / "frozen.txt").read_text(encoding="utf-8").splitlines()
    assert lines == [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(folder.glob("*.sql"))
    ]


def alters_the_platform(sql: str) -> bool:
    """Definitions of or about tables in `public`."""
    return bool(
        re.search(
            r"\b(?:alter table|drop table|create (?:(?:unique )?index|trigger|policy) (?:.* )?on)\s+public\.",
            without_comments(sql),
        )
    )


def test_the_platforms_tables_are_not_altered():
    """No policy, trigger, column, index or owner of the platform's tables is ours; set-up of the primary reads them."""
    for path in sql_files("migrations/primary", "functions/primary", "statements/deployment"):
        assert not alters_the_platform(path.read_text(encoding="utf-8")), name_of(path)
    assert alters_the_platform("alter table public.issues enable row level security")
