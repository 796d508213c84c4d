"""The digest of the code: the same for the same files, another when one of them changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from include.foresight import version


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("include/foresight/a.py", "sql/features/m.sql", "sql/features/m.toml", "docs/a.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1\n")
    monkeypatch.setattr(version, "ROOT", tmp_path)
    return tmp_path


def digest() -> str:
    """Without the memory of the process, which goes on with the code that it has loaded."""
    return version.code_version.__wrapped__()


def test_this_codes_version():
    assert re.fullmatch("[0-9a-f]{12}", version.code_version())
    assert digest() == digest()


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "include/foresight/a.py").write_text("2\n"),
        lambda tree: (tree / "sql/features/m.sql").write_text("2\n"),
        lambda tree: (tree / "sql/features/m.toml").write_text("2\n"),
        lambda tree: (tree / "include/foresight/b.py").write_text("1\n"),
        lambda tree: (tree / "sql/features/m.sql").rename(tree / "sql/features/n.sql"),
        lambda tree: (tree / "sql/features/m.sql").unlink(),
    ],
)
def test_it_changes_with_code_and_sql(tree: Path, change: Callable[[Path], object]):
    before = digest()
    change(tree)
    assert digest() != before


def test_it_does_not_change_with_what_decides_no_prediction(tree: Path):
    before = digest()
    (tree / "docs/a.md").write_text("2\n")
    assert digest() == before
