"""What documents show can be done with the demo: its commands are there, its clients and ids are those of the demo."""

from __future__ import annotations

import re
import shlex
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
import typer

from demo.generator import generate
from foresight_api import schemas
from launcher import cli
from launcher.platform_data import slug_for

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

COMMANDS = typer.main.get_command(cli.app)
# The shell part knows this one before the command line is installed.
WITHOUT_A_CHECK = {"test"}


def fenced(text: str) -> str:
    return "\n".join(re.findall(r"^```\w*\n(.+?)^```", text, re.DOTALL | re.MULTILINE))


def shown_commands(text: str) -> list[list[str]]:
    """The words behind `./foresight` in blocks and in code within lines, without comments."""
    lines = fenced(text).replace("\\\n", " ").splitlines() + re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    found = []
    for line in lines:
        for shown in re.findall(r"\./foresight ([^;|()]*)", line.replace("[", " ").replace("]", " ")):
            words = shlex.split(shown.partition("#")[0].replace('"', " ").replace("'", " "))
            if words:
                found.append(words)
    return found


def problem(words: list[str]) -> str | None:
    """What is wrong with a command: a name or an option that the command line does not have."""
    command = COMMANDS
    while hasattr(command, "commands") and words and not words[0].startswith("-") and not words[0].isupper():
        name, *words = words
        inner = command.commands.get(name.rstrip(",."))
        if inner is None:
            return f"no command {name}"
        command = inner
    if command.name in WITHOUT_A_CHECK:
        return None
    known = {option for one in command.params for option in one.opts} | {"--help", "-h"}
    wrong = [word for word in words if word.startswith("-") and word.partition("=")[0] not in known]
    return f"{command.name} has no option {wrong[0]}" if wrong else None


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_commands_that_a_document_shows_are_there(path: Path):
    shown = shown_commands(path.read_text(encoding="utf-8"))
    assert [(words, wrong) for words in shown if (wrong := problem(words))] == []


def test_a_command_that_is_not_there_is_seen():
    text = "Run `./foresight nothing`, or:\n\n```sh\n./foresight key issue etl --clients x  # once\n```\n"
    assert [problem(words) for words in shown_commands(text)] == ["issue has no option --clients", "no command nothing"]


@pytest.fixture(scope="module")
def demo() -> dict[str, pd.DataFrame]:
    """Ids and names of the demo are the same whenever it is made."""
    tables = generate(seed=0, end=datetime(2026, 3, 1)).tables
    return {name: tables[name] for name in ("clients", "issues", "issuetypes", "pull_requests", "repositories")}


def slugs(demo: dict[str, pd.DataFrame]) -> set[str]:
    taken: set[str] = set()
    for client in demo["clients"].itertuples():
        taken.add(slug_for(client.id, client.name, taken))
    return taken


def shown_clients(text: str) -> set[str]:
    """Clients that commands name; a word in capital letters stands for one."""
    found = set()
    for words in shown_commands(text):
        named = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "--client"]
        if words[0] in ("trigger", "rollback") and len(words) > 1:
            named.append(words[1])
        # The backtest's are projects of a folder.
        found |= {name for name in named if not name.isupper() and words[0] != "backtest"}
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_clients_that_a_document_names_are_the_demos(path: Path, demo: dict[str, pd.DataFrame]):
    assert shown_clients(path.read_text(encoding="utf-8")) <= slugs(demo)


def test_a_client_that_a_document_names_is_seen():
    text = "`./foresight trigger CLIENT --models x`, `./foresight trigger acme`, `./foresight key issue e --client b`"
    assert shown_clients(text) == {"acme", "b"}


def open_epics(demo: dict[str, pd.DataFrame]) -> set[str]:
    types = demo["issues"]["issuetype_id"].map(demo["issuetypes"].set_index("id")["original_name"])
    return set(demo["issues"]["key"][(types == "Epic") & demo["issues"]["work_last_completed_at"].isna()])


def open_pull_requests(demo: dict[str, pd.DataFrame]) -> set[tuple[str, int]]:
    pulls = demo["pull_requests"][demo["pull_requests"]["status"] == "open"]
    names = pulls["repository_id"].map(demo["repositories"].set_index("id")["full_name"])
    return set(zip(names, pulls["number"], strict=True))


def test_the_ids_that_the_page_for_the_platform_shows_are_the_demos(demo: dict[str, pd.DataFrame]):
    """The same page runs in tests/integration/foresight_api/test_client.py, on data of another seed."""
    text = fenced((ROOT / "docs" / "for-the-platform.md").read_text(encoding="utf-8"))
    keys = set(re.findall(r"\"([A-Z]+-\d+)\"", text))
    assert keys and keys <= set(demo["issues"]["key"])
    epics = re.findall(r"predict_trajectory\(\[\"([^\"]+)", text)
    assert epics and set(epics) <= open_epics(demo)
    ((repository,), (numbers,)) = (re.findall(one, text) for one in (r"repository = \"(.+)\"", r"number in \((.+?)\)"))
    assert {(repository, int(number)) for number in numbers.split(",")} <= open_pull_requests(demo)


def example(body: type[schemas.Body]) -> dict:
    (shown,) = body.model_config["json_schema_extra"]["examples"]
    return shown


def test_the_examples_of_the_apis_own_page_are_the_demos(demo: dict[str, pd.DataFrame]):
    assert set(example(schemas.TrajectoryBody)["epic_keys"]) <= open_epics(demo)
    assert set(example(schemas.ComplexityBody)["issue_keys"]) <= set(demo["issues"]["key"])
    pulls = example(schemas.ReworkBody)
    wanted = {(pulls["repository"], number) for number in pulls["pull_request_numbers"]}
    assert wanted <= open_pull_requests(demo)
