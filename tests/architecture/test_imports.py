"""Who may import whom."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import (
    ENGINE,
    LIBRARY,
    ROOT,
    imports,
    is_in,
    name_of,
    python_files,
    tree_of,
)

OURS = {"dags", "demo", "foresight_api", "include", "launcher", "pgml_engine", "plugins", "tests"}

# Of our own packages, what each folder may import.
MAY_IMPORT = {
    "dags": ("include.foresight",),
    "plugins": ("foresight_api", "include.foresight"),
    "include/foresight": ("include.foresight",),
    "include/pgml_engine": ("pgml_engine",),
    "launcher": ("launcher", "include.foresight", "demo"),
    "demo": ("demo",),
}

MODEL_LIBRARIES = {"catboost", "lightgbm", "sklearn", "xgboost"}
HEAVY = MODEL_LIBRARIES | {"alembic", "numpy", "pandas", "psycopg", "scipy"}

# What a DAG file may need at its top: it is read at every parse and at the start of every task.
DAG_IMPORTS = ("airflow.sdk", "airflow.providers.standard", "include.foresight.runtime")


def foreign(tree: ast.AST, allowed: tuple[str, ...]) -> list[str]:
    """Imports of our own packages that are not allowed."""
    return sorted(name for name in imports(tree) if name.partition(".")[0] in OURS and not is_in(name, allowed))


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_dependencies_point_one_way(folder: str):
    """dags → include/foresight ← plugins; the engine and the demo stand alone. What is imported by all sides can be
    changed, tested and moved to another server without them."""
    wrong = {name_of(path): foreign(tree_of(path), MAY_IMPORT[folder]) for path in python_files(folder)}
    assert {name: found for name, found in wrong.items() if found} == {}


@pytest.mark.parametrize(
    ("folder", "text"),
    [
        ("dags", "import launcher.setup"),
        ("dags", "from demo import generator"),
        ("plugins", "from dags import nightly"),
        ("include/foresight", "def f():\n    from plugins.foresight_api import listener"),
        ("include/foresight", "from include import pgml_engine"),
        ("include/pgml_engine", "from include.foresight import names"),
        ("demo", "from include.foresight.sql import statement"),
        ("launcher", "from tests.support import servers"),
    ],
)
def test_a_wrong_direction_is_seen(folder: str, text: str):
    assert foreign(ast.parse(text), MAY_IMPORT[folder])


def of_airflow(tree: ast.AST) -> list[str]:
    return sorted(name for name in imports(tree) if is_in(name, {"airflow"}))


def test_the_library_imports_airflow_in_one_module():
    """Airflow changes every year and starts slowly; the library is tested, served and used without it."""
    wrong = {name_of(path): of_airflow(tree_of(path)) for path in python_files("include") if path.stem != "runtime"}
    assert {name: found for name, found in wrong.items() if found} == {}
    assert of_airflow(tree_of(LIBRARY / "runtime.py"))


def test_an_import_of_airflow_is_seen():
    assert of_airflow(ast.parse("def f():\n    from airflow.sdk import Variable")) == ["airflow.sdk.Variable"]
    assert of_airflow(ast.parse("from launcher import airflow")) == []


def test_the_engine_uses_nothing_but_what_its_own_requirements_bring():
    """It is installed into the database server's Python, where neither Airflow nor a driver is."""
    allowed = sys.stdlib_module_names | MODEL_LIBRARIES | {"numpy", "plpy", "scipy", "skops", "sqlglot"}
    for path in sorted(ENGINE.rglob("*.py")):
        roots = {name.partition(".")[0] for name in imports(tree_of(path)) if not name.startswith(".")}
        assert roots <= allowed, f"{name_of(path)} imports {sorted(roots - allowed)}"


def model_libraries(tree: ast.AST) -> list[str]:
    return sorted(name for name in imports(tree) if is_in(name, MODEL_LIBRARIES))


def test_models_are_fitted_in_the_database_only():
    """No fit and no prediction of a model happens outside a PostgreSQL backend, so only the engine has the libraries.
    Probability calibration, when it comes, is the one exception to write down here."""
    wrong = {
        name_of(path): model_libraries(tree_of(path))
        for path in python_files("dags", "plugins", "include/foresight", "launcher", "demo")
        # The bare library beside the engine is what the benchmark compares with.
        if path.name != "bench_library.py"
    }
    assert {name: found for name, found in wrong.items() if found} == {}


@pytest.mark.parametrize("text", ["import xgboost as xgb", "def f():\n    from sklearn.linear_model import Ridge"])
def test_a_model_library_is_seen(text: str):
    assert model_libraries(ast.parse(text))


def top_level(tree: ast.Module) -> set[str]:
    """What is imported when the module is: not within functions, not for type checkers only."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            continue
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= imports(node)
    return found


def heavy_for_a_dag(tree: ast.Module) -> list[str]:
    return sorted(
        name
        for name in top_level(tree)
        if name.partition(".")[0] not in sys.stdlib_module_names and not is_in(name, DAG_IMPORTS)
    )


@pytest.mark.parametrize("path", python_files("dags"), ids=name_of)
def test_a_dag_file_imports_little(path: Path):
    """A DAG file is declarations: the scheduler's machine reads it all day, every task's process once more."""
    assert heavy_for_a_dag(tree_of(path)) == []


@pytest.mark.parametrize(
    "text", ["import pandas", "from include.foresight import nightly", "from airflow.models import Variable"]
)
def test_a_heavy_dag_file_is_seen(text: str):
    assert heavy_for_a_dag(ast.parse(text))
    assert not heavy_for_a_dag(ast.parse(f"def f():\n    {text}"))


PROBE = """
import json, sys
{first}
before = set(sys.modules)
{second}
print(json.dumps(sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})))
"""


def loaded_by(first: str, second: str, home: Path) -> set[str]:
    """The packages that `second` loads beyond what `first` has loaded already."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROBE.format(first=first, second=second)],
        cwd=home,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")]),
            "AIRFLOW_HOME": str(home),
            "HOME": str(home),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(run.stdout.splitlines()[-1]))


def test_what_dag_files_and_plugins_load_is_light(tmp_path: Path):
    """psycopg, pandas and the like take half a second of every task's start; whoever needs them imports them inside
    the function. Looked at in a process, since one import brings others."""
    airflow = (
        "import airflow.sdk, airflow.providers.standard.operators.python, airflow.listeners, airflow.plugins_manager\n"
        "import airflow.providers.standard.triggers.temporal, airflow.sdk.definitions.retry_policy"
    )
    loaded = loaded_by(airflow, "import include.foresight.runtime, foresight_plugin", tmp_path)
    assert "include" in loaded and "foresight_api" in loaded
    assert not loaded & HEAVY


def test_a_module_that_brings_a_heavy_one_is_seen(tmp_path: Path):
    assert "psycopg" in loaded_by("", "import include.foresight.sql", tmp_path)


CONNECT = {"database", "deployment", "migrations", "pooling"}


def connects(tree: ast.AST) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr == "connect" and ast.unparse(node.value) == "psycopg"
        for node in ast.walk(tree)
    )


def test_sessions_come_from_one_place():
    """The library's sessions are opened by `Databases`, which quiets notices and hands out transactions by role. Only
    set-up, which works as a superuser, connects by itself, and what tells whether a session is one."""
    found = {path.stem for path in python_files("include/foresight", "dags", "plugins") if connects(tree_of(path))}
    assert found == CONNECT
    assert connects(ast.parse("with psycopg.connect(dsn) as connection: pass"))


# Distributions whose packages have other names.
DISTRIBUTIONS = {
    "prometheus_client": "prometheus-client",
    "psycopg_pool": "psycopg",
    "text_unidecode": "text-unidecode",
    "yaml": "pyyaml",
}
PROVIDERS = "apache-airflow-providers-"


def direct_requirements() -> set[str]:
    """Names of requirements.txt, without versions and extras."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return {re.split(r"[=<>\[ ]", line)[0] for line in lines if line and not line.startswith("#")}


def requirement(name: str) -> str:
    """The distribution that an imported name comes from."""
    parts = name.split(".")
    if parts[:2] == ["airflow", "providers"]:
        two = "-".join(parts[2:4])
        return PROVIDERS + (two if PROVIDERS + two in direct_requirements() else parts[2])
    return "apache-airflow" if parts[0] == "airflow" else DISTRIBUTIONS.get(parts[0], parts[0])


def unnamed_requirements(tree: ast.AST) -> list[str]:
    """Third-party imports whose distribution is no direct requirement."""
    third = {
        name
        for name in imports(tree)
        if name.partition(".")[0] not in OURS | sys.stdlib_module_names | {"", "benchmarks"}
    }
    return sorted({requirement(name) for name in third} - direct_requirements())


def test_what_is_imported_is_required_by_name():
    """What only comes along with something else goes when that no longer needs it, or comes in another version."""
    paths = [
        path
        for path in python_files("dags", "demo", "include", "launcher", "plugins")
        if ENGINE not in path.parents and path.name != "bench_library.py"
    ]
    found = {name_of(path): unnamed_requirements(tree_of(path)) for path in paths}
    assert {name: missing for name, missing in found.items() if missing} == {}
    # Started as a command.
    assert "uvicorn" in direct_requirements()


def test_an_import_of_what_comes_along_is_seen():
    assert unnamed_requirements(
        ast.parse("def f():\n    import requests\n    from airflow.providers.ssh import x")
    ) == [
        "apache-airflow-providers-ssh",
        "requests",
    ]
    assert not unnamed_requirements(ast.parse("import psycopg_pool, json\nfrom . import sql\nfrom include import x"))


def test_what_is_required_by_name_is_locked():
    locked = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.M))
    assert direct_requirements() <= locked


ALONE = """
import sys, importlib.abc

class Nothing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root in {"airflow", "cachetools", "fastapi", "include", "numpy", "pandas", "psycopg", "pydantic", "yaml"}:
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, Nothing())
import asyncio, predictions.client, predictions.enhanced_jobs
assert predictions.client.MLPredictionClient("http://127.0.0.1:9/api/ml", "k").estimate_complexity(["A-1"]).reason
client = predictions.client.AsyncMLPredictionClient("http://127.0.0.1:9/api/ml", "k")
assert "ConnectError" in asyncio.run(client.predict_rework_risk([1], repository="a/b")).reason
import psycopg
"""


def test_the_client_needs_httpx_and_nothing_else(tmp_path: Path):
    """A service of the platform copies two files (docs/for-the-platform.md). What is blocked here is seen to be by the
    last import, which has to fail."""
    package = tmp_path / "predictions"
    package.mkdir()
    for name in ("client.py", "enhanced_jobs.py"):
        shutil.copy(LIBRARY / name, package)
        roots = {one.partition(".")[0] for one in imports(tree_of(LIBRARY / name))}
        assert roots - {""} <= sys.stdlib_module_names | {"httpx"}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ALONE],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.stderr.strip().endswith("ImportError: psycopg is not there"), run.stderr
