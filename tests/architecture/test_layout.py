"""The tree: what stands where, and what must not be in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, committed, name_of, text_of

FOLDERS = {".ci", "benchmarks", "dags", "demo", "docker", "docs", "include", "launcher", "plugins", "sql", "tests"}
FILES = {
    ".airflowignore",
    ".dockerignore",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "docker-compose.yaml",
    "foresight",
    "pyproject.toml",
    "requirements-bootstrap.lock",
    "requirements-bootstrap.txt",
    "requirements.lock",
    "requirements.txt",
}
TESTS = {"architecture", "dags", "e2e", "integration", "support", "unit"}


def test_the_top_of_the_tree_is_known():
    """Whoever opens the repository finds his way by a dozen names; a further one is a decision (here and in README)."""
    parts = {path.relative_to(ROOT).parts for path in committed()}
    assert {names[0] for names in parts if len(names) > 1} <= FOLDERS
    assert {names[0] for names in parts if len(names) == 1} <= FILES
    assert {names[1] for names in parts if names[0] == "tests" and len(names) > 2} <= TESTS
    assert {names[1] for names in parts if names[0] == "include"} <= {"foresight", "pgml_engine"}


def test_the_readme_names_every_folder():
    """Its map of the tree is the first that a new developer reads."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [folder for folder in sorted(FOLDERS - {".ci"}) if f"{folder}/" not in readme] == []


def test_airflow_looks_for_dags_in_one_folder():
    """The bundle is the whole checkout: a file elsewhere that mentions DAGs would be executed by the DAG processor."""
    ignored = (ROOT / ".airflowignore").read_text(encoding="utf-8").split("\n")
    hidden = {".ci"}  # no Python there
    assert {f"/{folder}/" for folder in FOLDERS - {"dags"} - hidden} <= set(ignored)
    assert "/dags/" not in ignored


def test_airflow_executes_one_file_of_the_plugins():
    """Airflow runs every file that it finds there and registers it under its bare name (plugins/.airflowignore)."""
    lines = (ROOT / "plugins" / ".airflowignore").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == ["*.py", "!foresight_plugin.py"]
    assert sorted(path.name for path in (ROOT / "plugins").glob("*.py")) == ["foresight_plugin.py"]


# Put together here, so that this file does not say them.
PRIVATE = {
    "the machine that the project is written on": re.compile(
        r"(?<![\w.])(/wor" + r"k/|/tmp/br" + r"ief|/var/lib/foresight/mai" + r"n-)"
    ),
    "a package registry": re.compile("artifac" + r"tory|\bnex" + r"us\b|://[^/\s]+@[a-z.-]*(pypi|registry)", re.I),
    "an index in a lock": re.compile(r"^\s*--(extra-)?index-ur" + "l", re.M),
    "a private key": re.compile("BEGIN [A-Z ]*PRIVATE KE" + "Y"),
}


def private_in(text: str) -> list[str]:
    return [what for what, pattern in PRIVATE.items() if pattern.search(text)]


def test_no_file_tells_of_the_machine_it_was_written_on():
    """A path or a registry of one machine works nowhere else, and is nobody's business."""
    found = {name_of(path): private_in(text) for path in committed() if (text := text_of(path))}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "text",
    [
        "cd /wor" + "k/main",
        "/var/lib/foresight/mai" + "n-1234/venv",
        "https://nex" + "us.example.com/simple",
        "--index-ur" + "l https://example.com/simple",
    ],
)
def test_a_trace_of_a_machine_is_seen(text: str):
    assert private_in(text)


MENTION = re.compile(r"(?<![\w/.`-])`?((?:docs|sql|include|dags|demo|launcher|plugins|tests)/[\w./{}<>*-]+)")
SHORTENED = ("docs/decisions/",)


def missing_paths(text: str) -> list[str]:
    """Paths of the tree that a document names and that are not there; a decision may be named by its number."""
    found = []
    for name in MENTION.findall(text):
        name = name.rstrip(".-")
        if re.search(r"[{}<>*]", name) or (ROOT / name).exists():
            continue
        if name.startswith(SHORTENED) and list(ROOT.glob(f"{name}-*.md")):
            continue
        found.append(name)
    return found


def documents() -> list[Path]:
    return [path for path in committed() if path.suffix == ".md" and path.name != "CHANGELOG.md"]


@pytest.mark.parametrize("path", documents(), ids=name_of)
def test_what_documents_name_is_there(path: Path):
    """A document that points nowhere is worse than none."""
    assert missing_paths(path.read_text(encoding="utf-8")) == []


def test_what_code_says_of_documents_is_true():
    """Comments point to documents for the long reason."""
    for path in committed():
        if path.suffix in (".py", ".sql", ".toml") and "tests" not in path.relative_to(ROOT).parts:
            named = re.findall(r"\b(?:docs/[\w./-]+|sql/[\w/]+\.md)", path.read_text(encoding="utf-8"))
            assert missing_paths(" ".join(named)) == [], name_of(path)


def test_a_path_that_is_not_there_is_seen():
    assert missing_paths("see docs/nowhere.md and sql/README.md") == ["docs/nowhere.md"]
    assert missing_paths("see sql/checks/<name>.sql and docs/decisions/0099") == ["docs/decisions/0099"]


def dags_of_a_table(text: str) -> set[str]:
    """What the table with the first heading DAG names, without what is put in for each client."""
    table = re.search(r"^\| DAG \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    named = re.findall(r"^\| `([^`]+)`", table[1] if table else "", re.MULTILINE)
    return {re.sub(r"__<.*>$", "", name) for name in named}


@pytest.mark.parametrize("name", ["README.md", "docs/architecture.md"])
def test_a_document_lists_every_dag(name: str):
    """What an operator looks up first. Each file of dags/ makes what it is named for."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert dags_of_a_table(text) == {path.stem for path in (ROOT / "dags").glob("*.py")}


def test_a_dag_that_is_missing_in_a_table_is_seen():
    text = "| DAG | when |\n|---|---|\n| `a__<client>` | x |\n| `b` | y |\n\n| `c` | z |\n"
    assert dags_of_a_table(text) == {"a", "b"}
    assert dags_of_a_table("No table.") == set()


def phases_in_order(text: str) -> list[str]:
    return re.findall(r"^\d\. \*\*([a-z]+)\*\*", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["README.md", "docs/architecture.md"])
def test_a_document_tells_of_every_phase_of_a_night(name: str):
    """In the order of the DAG's own manual, whose table the DAG's tests compare with its tasks."""
    manual = (ROOT / "dags" / "nightly.py").read_text(encoding="utf-8")
    tasks = re.findall(r"^\| ([a-z]+) \|", manual, re.MULTILINE)[1:]
    assert len(tasks) > 1 and phases_in_order((ROOT / name).read_text(encoding="utf-8")) == tasks


SECTIONS = ["Status", "Context", "Decision", "Consequences", "A change violates this decision when"]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))


def sections_of(text: str) -> list[str]:
    return re.findall(r"^## (.+)$", text, re.MULTILINE)


@pytest.mark.parametrize("path", DECISIONS, ids=name_of)
def test_a_decision_can_be_checked(path: Path):
    """Its last section makes it reviewable: a change either does one of these things or it does not."""
    text = path.read_text(encoding="utf-8")
    assert re.match(rf"# {path.name[:4]} ", text)
    assert sections_of(text) == SECTIONS


def test_decisions_are_numbered_without_gaps():
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1)) != []
    assert all(re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name) for path in DECISIONS)


def test_the_changelog_begins_with_what_is_not_released():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert sections_of(text)[0] == "Unreleased"


def test_scripts_can_be_run():
    for name in ("foresight", ".ci/run"):
        assert (ROOT / name).stat().st_mode & 0o111, name
