"""What the commands refuse, and what they leave behind when they do."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from launcher import cli
from launcher.errors import LauncherError


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
    return str(done.exception) if isinstance(done.exception, LauncherError) else done.output


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
