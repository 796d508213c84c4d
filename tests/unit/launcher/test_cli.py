"""What the commands refuse, and what they leave behind when they do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from include.foresight.errors import ForesightError
from launcher import cli, keys
from launcher import instance as instances
from launcher.errors import LauncherError
from launcher.system import CHECKOUT


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any instance."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("FORESIGHT_HOME", str(folder))
    return folder


def refusal(*words: str | Path) -> str:
    done = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert done.exit_code != 0
    return str(done.exception) if isinstance(done.exception, LauncherError | ForesightError) else done.output


def said(*words: str) -> str:
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("notes.txt", "", "has no .csv, .tsv or .json file"),
        ("prices.csv", "article,price\na,1\n", "a header of no export that is known"),
        ("points.csv", "issuekey,title,description,storypoint\nA-1,x,y,many\n", "row 2, column storypoint: 'many'"),
    ],
)
def test_a_folder_that_cannot_be_loaded_starts_nothing_and_leaves_nothing(
    home: Path, tmp_path: Path, name: str, text: str, words: str
):
    data = tmp_path / "data"
    data.mkdir()
    (data / name).write_text(text)
    assert words in refusal("run", "--data", data)
    assert list(home.rglob("*")) == []


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("trigger", "acme", "--models", "foo"), "there is no model 'foo': there are complexity, rework, trajectory"),
        (("trigger", "acme", "--models", " , "), "--models names none: there are complexity, rework, trajectory"),
        (("trigger", "acme", "--as-of", "foo"), "as_of must be a moment like 2024-05-31T00:00:00, got 'foo'"),
        (("report", "--as-of", "2024-05-31"), "--as-of is for --business alone"),
        (("logs", "primary", "-n", "0"), "'--lines'"),
        (("logs", "primary", "-n", "-3"), "'--lines'"),
        (("help", "nothing"), "there is no command 'nothing': there are run, report"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(home: Path, words: tuple[str, ...], answer: str):
    assert answer in refusal(*words)


def test_every_usual_way_to_ask_for_help_is_answered():
    assert said("help") == said("-h") == said("--help")
    assert said("help", "trigger") == said("trigger", "-h") == said("trigger", "--help")
    assert said("--version").startswith("Foresight ")


def test_status_tells_the_address_the_login_and_what_the_default_is(home: Path):
    for name in ("demo", "other"):
        made = instances.load_or_create(name, None)
        made.ports = {"api": 21000}
        made.save()
    instances.remember_as_latest(made)
    text = said("status")
    demo, other = text.split("other: demo data")
    assert "The UI: http://127.0.0.1:21000  login: admin  password: shown by ./foresight status --password" in demo
    assert "the default" in other and "the default" not in demo
    assert made.secrets["airflow_admin"] not in text
    assert made.secrets["airflow_admin"] in said("status", "--password")


@pytest.mark.parametrize(("columns", "width"), [("70", 70), ("250", 250), (None, 200), ("x", 200)])
def test_what_is_piped_has_the_width_that_the_environment_says(columns: str | None, width: int):
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-c", "from launcher.terminal import console; print(console.width)"],
        cwd=CHECKOUT,
        env=environment | ({"COLUMNS": columns} if columns else {}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == width


@pytest.mark.parametrize("width", [30, 80, 200])
def test_the_id_of_a_key_is_whole_whatever_the_width(width: int):
    key = {"key_id": "b40ab6c10d55", "name": "the ETL of the platform", "clients": ["northwind_labs"], "any_of": True}
    console = Console(width=width, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(keys.table([key | dict.fromkeys(("created_at", "expires_at", "revoked_at"))]))
    assert "b40ab6c10d55" in console.export_text()
