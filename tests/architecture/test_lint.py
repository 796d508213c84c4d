"""The linter's rules (pyproject.toml has them, each exclusion with its reason) are rules like the others here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.architecture.source import ROOT

RUFF = Path(sys.executable).with_name("ruff")


def lint(*what: Path | str, said: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [RUFF, "check", "--no-cache", "--output-format=concise", *map(str, what)]
    return subprocess.run(command, cwd=ROOT, input=said, capture_output=True, text=True, check=False)


def test_the_linter_finds_nothing():
    run = lint(ROOT)
    assert run.returncode == 0, run.stdout


def test_the_linter_looks_for_what_costs_at_parsing():
    """Of these rules one is a preview rule and one has a list of ours: a small mistake silently loses either."""
    said = "import pandas\nfrom airflow.sdk import DAG, Variable\n\nx = DAG(Variable.get('x')), pandas\n"
    run = lint("--stdin-filename=dags/some.py", "-", said=said)
    assert "banned-module-level-imports" in run.stdout
    assert "airflow-variable-get-outside-task" in run.stdout
