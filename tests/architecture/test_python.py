"""How the Python of the project is written, where a reader or a linter would not see it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.source import LIBRARY, ROOT, called, name_of, python_files, strings, tree_of

SHIPPED = ("dags", "demo", "include", "launcher", "plugins")
RUNS_IN_AIRFLOW = ("dags", "include/foresight", "plugins")

# Names that say nothing: whatever fits nowhere else ends up there.
CATCH_ALL = re.compile(r"_?(base|common|core|helper|lib|misc|shared|stuff|tool|util)s?")

STATEMENT = re.compile(
    r"""^\s*(
        with\b.+\bas\b.*\( | select\b | insert\s+into\b | update\s+\S+(\s+as\s+\S+)?\s+set\b | delete\s+from\b |
        merge\s+into\b | truncate\b | copy\s+\S+.*\b(from|to)\b | (grant|revoke)\b.+\bon\b | do\s+\$ | analyze\b |
        (create|alter|drop)\s+(or\s+replace\s+)?(temp\w*\s+)?
        (table|view|role|schema|function|policy|index|publication|subscription|database|extension|sequence|type)\b
    )""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)

# module: (text, why it may stay)
ALLOWED_SQL: dict[str, tuple[str, str]] = {}


def statements_in(tree: ast.AST) -> list[str]:
    """Texts that look like SQL statements. `set` is none: settings of a session have no file."""
    return [text for text in strings(tree) if STATEMENT.match(text)]


@pytest.mark.parametrize("path", python_files(*RUNS_IN_AIRFLOW), ids=name_of)
def test_sql_is_in_files(path: Path):
    """A statement in a file of its own is linted, found by its name, and has no value put into it."""
    allowed = ALLOWED_SQL.get(name_of(path), ("", ""))[0]
    assert [text for text in statements_in(tree_of(path)) if text != allowed] == []


@pytest.mark.parametrize(
    "text",
    [
        "run('select 1')",
        "run('''\n    SELECT *\n    from t''')",
        "run(f'insert into {table} values (1)')",
        "run('update ml.clients set active = false')",
        "run('delete from t')",
        "run('create temporary table t (id integer)')",
        "run('with a as (select 1) select * from a')",
        "run('copy t from stdin')",
        "run('grant select on t to r')",
    ],
)
def test_a_statement_in_python_is_seen(text: str):
    assert statements_in(ast.parse(text))


@pytest.mark.parametrize(
    "text", ["'''select 1'''", "say('updates set aside')", "say('Which table?')", "run('set local {} to {}')"]
)
def test_prose_and_settings_are_no_statements(text: str):
    assert statements_in(ast.parse(text)) == []


# Calls whose first argument goes to a server as it is, or says that it may.
SENDS = {"execute", "executemany", "copy", "SQL", "statement"}


def is_built(node: ast.AST) -> bool:
    """Whether a text is put together here: an f-string, `%`, `+`, `.format`, `.replace` or `.join` of a text."""
    match node:
        case ast.JoinedStr():
            return True
        case ast.BinOp(left=left, op=ast.Mod() | ast.Add(), right=right):
            return any(isinstance(side, ast.Constant | ast.JoinedStr) or is_built(side) for side in (left, right))
        case ast.Call(func=ast.Attribute(attr="format" | "replace" | "join", value=ast.Constant(value=str()))):
            return True
        case ast.IfExp(body=body, orelse=orelse):
            return is_built(body) or is_built(orelse)
    return False


def built_statements(tree: ast.AST) -> list[str]:
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if called(node) in SENDS and node.args and is_built(node.args[0])  # type: ignore[attr-defined]
    ]


@pytest.mark.parametrize(
    "path", [path for path in python_files(*SHIPPED) if "pgml_engine" not in path.parts], ids=name_of
)
def test_no_statement_is_put_together_from_texts(path: Path):
    """Values go to the driver, identifiers through psycopg.sql: a client named `'; drop table` is a name. (Within the
    server there is no psycopg: the engine quotes every name by plpy.quote_ident, and its own tests try odd ones.)"""
    assert built_statements(tree_of(path)) == []


@pytest.mark.parametrize(
    "text",
    [
        "cursor.execute(f'select {x}')",
        "cursor.execute('select %s' % x)",
        "cursor.execute('select ' + x)",
        "cursor.execute('select {}'.format(x))",
        "cursor.execute(', '.join(parts))",
        "sql.SQL(f'{x}')",
        "tx.execute(sql.SQL('select ' + x).format(y))",
        "statement(f'pgml/{x}')",
    ],
)
def test_a_statement_put_together_is_seen(text: str):
    assert built_statements(ast.parse(text))


@pytest.mark.parametrize(
    "text", ["cursor.execute('select %s', [x])", "sql.SQL('{}').format(name)", "sql.SQL(', ').join(parts)"]
)
def test_composition_is_not_taken_for_it(text: str):
    assert built_statements(ast.parse(text)) == []


def catch_all(path: Path) -> bool:
    return any(CATCH_ALL.fullmatch(Path(part).stem) for part in path.parts)


def test_modules_are_named_for_a_concept():
    """A module called utils has no reason to refuse anything, so it grows for ever."""
    assert [name_of(path) for path in python_files(*SHIPPED, "tests") if catch_all(path.relative_to(ROOT))] == []
    bad = ("utils.py", "common/db.py", "x/helpers.py", "core.py")
    assert all(catch_all(Path("include/foresight") / name) for name in bad)
    assert not catch_all(Path("include/foresight/database.py"))


def client_names(tree: ast.AST) -> list[str]:
    return [text for text in strings(tree) if re.search(r"foresight_client_|ml_client_|nightly__|_ordered$", text)]


def test_names_are_put_together_in_one_module():
    """Two places that spell a client's role or schema will one day spell it differently."""
    paths = [path for path in python_files(*RUNS_IN_AIRFLOW) if path != LIBRARY / "names.py"]
    assert {name_of(path): found for path in paths if (found := client_names(tree_of(path)))} == {}
    assert len(client_names(tree_of(LIBRARY / "names.py"))) == 4


def has_annotations(tree: ast.AST) -> bool:
    return any(
        isinstance(node, ast.AnnAssign) or getattr(node, "annotation", None) or getattr(node, "returns", None)
        for node in ast.walk(tree)
    )


def test_annotations_are_lazy():
    """So that a name which is imported for type checkers only may stand in a signature."""
    for path in python_files(*SHIPPED, "tests"):
        tree = tree_of(path)
        body = [node for node in tree.body if not isinstance(node, ast.Expr)]
        assert not has_annotations(tree) or ast.unparse(body[0]) == "from __future__ import annotations", name_of(path)


def prints_or_formats_logs(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if called(node) == "print":
            found.append(ast.unparse(node))
        elif called(node) in {"debug", "info", "warning", "error", "exception"} and node.args:  # type: ignore[attr-defined]
            if is_built(node.args[0]):  # type: ignore[attr-defined]
                found.append(ast.unparse(node))
    return found


def test_what_is_said_goes_through_the_log():
    """Airflow keeps what is logged, with its level; arguments are put in only when somebody reads it."""
    for path in python_files(*RUNS_IN_AIRFLOW):
        assert prints_or_formats_logs(tree_of(path)) == [], name_of(path)
    for bad in ("print(1)", "log.info(f'{x}')", "log.error('%s' % x)"):
        assert prints_or_formats_logs(ast.parse(bad))
    assert prints_or_formats_logs(ast.parse("log.info('%s', x)")) == []


@pytest.mark.parametrize("path", python_files("dags", "demo", "include", "plugins"), ids=name_of)
def test_a_module_says_what_it_is(path: Path):
    """Its first sentence is what the reader of a tree of files needs; in a DAG file it is the operator's manual."""
    assert ast.get_docstring(tree_of(path)), f"{name_of(path)} has no docstring"
