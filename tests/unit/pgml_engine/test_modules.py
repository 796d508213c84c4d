"""The package stands alone: it imports without a server, and cheaply."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from include.pgml_engine.errors import PgmlError
from include.pgml_engine.relation import parse_name

PACKAGE = Path(__file__).parents[3] / "include" / "pgml_engine"
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.name != "__init__.py"
)


def test_no_module_imports_a_heavy_library_airflow_or_foresight_or_needs_a_server():
    program = (
        "import importlib, json, sys\n"
        f"for name in {MODULES!r}: importlib.import_module(name)\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in json.loads(run.stdout)}
    assert "pgml_engine" in loaded and "numpy" in loaded
    assert not loaded & {"plpy", "xgboost", "lightgbm", "sklearn", "scipy", "pandas", "airflow", "include", "psycopg"}


def test_each_statement_says_what_it_is_for():
    statements = sorted((PACKAGE / "statements").glob("*.sql"))
    assert len(statements) > 10
    assert [path.name for path in statements if not path.read_text().startswith("-- ")] == []


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("issues", ("public", "issues")),
        ("ml_client_1.train", ("ml_client_1", "train")),
        ("Mixed Case", ("public", "Mixed Case")),
    ],
)
def test_a_relation_is_named_as_postgresml_does(name, parsed):
    assert parse_name(name) == parsed


@pytest.mark.parametrize("name", ["a.b.c", "", ".", "a.", ".b"])
def test_other_names_are_refused(name):
    with pytest.raises(PgmlError, match="relation_name must be"):
        parse_name(name)
