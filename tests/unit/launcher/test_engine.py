from __future__ import annotations

import pytest

from launcher import engine
from launcher.errors import LauncherError


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "checkout" / "pgml_engine"
    (folder / "parts").mkdir(parents=True)
    (folder / "__init__.py").write_text("ANSWER = 1\n")
    (folder / "parts" / "old.py").write_text("")
    return folder


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "environment" / "lib" / "python3.11" / "site-packages"
    folder.mkdir(parents=True)
    return folder


def test_the_package_is_copied_compiled_and_left_alone_until_it_changes(package, site, tmp_path):
    environment = tmp_path / "environment"
    assert engine.install(environment, package) is True
    assert (site / "pgml_engine" / "__init__.py").read_text() == "ANSWER = 1\n"
    assert list((site / "pgml_engine" / "__pycache__").glob("__init__.*.pyc"))
    assert engine.install(environment, package) is False

    (package / "parts" / "old.py").rename(package / "parts" / "new.py")
    assert engine.install(environment, package) is True
    assert [path.name for path in (site / "pgml_engine" / "parts").glob("*.py")] == ["new.py"]
    assert not [path for path in site.iterdir() if path.name.startswith(".")]


def test_what_python_leaves_in_the_sources_changes_nothing(package):
    before = engine.fingerprint(package)
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.pyc").write_text("")
    assert engine.fingerprint(package) == before


def test_a_folder_that_is_no_environment_is_named(package, tmp_path):
    with pytest.raises(LauncherError, match="nowhere is no virtual environment"):
        engine.install(tmp_path / "nowhere", package)
