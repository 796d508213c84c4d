"""The shell part's decisions, asked of its functions: the script does nothing when it is sourced."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from launcher.system import CHECKOUT


def ask(call: str, *arguments: str) -> str:
    script = f'source "$1"; shift; {call} "$@"'
    command = ["bash", "-c", script, "bash", str(CHECKOUT / "foresight"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout.strip()


def refusal(*release: str) -> str:
    return ask("2>&1 release_refusal", *release)


@pytest.mark.parametrize(
    "release", [("debian", "12"), ("debian", "13"), ("debian", ""), ("ubuntu", "24.04"), ("ubuntu", "25.10")]
)
def test_new_enough_releases_are_taken(release):
    assert refusal(*release, "Some name") == ""


@pytest.mark.parametrize("release", [("debian", "11"), ("debian", "9.13"), ("ubuntu", "22.04"), ("ubuntu", "")])
def test_older_releases_are_refused_in_words(release):
    said = refusal(*release, "An old one")
    assert said.startswith("An old one is too old: Foresight needs Debian 12 or later, or Ubuntu 24.04 or later")


def test_other_distributions_are_refused_in_words():
    assert refusal("fedora", "42", "Fedora Linux 42").startswith(
        "Fedora Linux 42 is not supported: Foresight needs Debian 12"
    )


@pytest.mark.parametrize(
    ("release", "major"), [(("debian", "12"), "15"), (("debian", "13"), "17"), (("ubuntu", "24.04"), "16")]
)
def test_a_bare_machine_gets_the_distributions_postgresql(release, major, tmp_path):
    assert ask("postgres_major", *release, str(tmp_path)) == major


def installed(root: Path, *files: str) -> Path:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o755)
    return root


def test_an_installed_newer_postgresql_with_plpython_is_preferred(tmp_path):
    root = installed(
        tmp_path,
        "usr/share/postgresql/15/extension/plpython3u.control",
        "usr/lib/postgresql/15/bin/initdb",
        "usr/share/postgresql/17/extension/plpython3u.control",
        "usr/lib/postgresql/17/bin/initdb",
        "usr/lib/postgresql/18/bin/initdb",  # without PL/Python it is of no use
    )
    assert ask("postgres_major", "debian", "12", str(root)) == "17"


def test_an_installed_postgresql_that_is_too_old_is_passed_over(tmp_path):
    root = installed(
        tmp_path, "usr/share/postgresql/14/extension/plpython3u.control", "usr/lib/postgresql/14/bin/initdb"
    )
    assert ask("postgres_major", "debian", "12", str(root)) == "15"


def test_what_a_bare_machine_lacks(tmp_path):
    assert ask("missing_packages", "15", str(tmp_path)).split() == [
        "postgresql-15",
        "postgresql-plpython3-15",
        "python3",
        "python3-venv",
        "ca-certificates",
        "libgomp1",
    ]


def test_what_a_complete_machine_lacks(tmp_path):
    root = installed(
        tmp_path,
        "usr/lib/postgresql/15/bin/initdb",
        "usr/share/postgresql/15/extension/plpython3u.control",
        "usr/bin/python3.11",
        "usr/lib/python3.11/ensurepip/__init__.py",
        "etc/ssl/certs/ca-certificates.crt",
        "usr/lib/x86_64-linux-gnu/libgomp.so.1",
    )
    (root / "usr/bin/python3").symlink_to("python3.11")
    assert ask("missing_packages", "15", str(root)) == ""
    (root / "usr/lib/python3.11/ensurepip/__init__.py").unlink()
    installed(root, "usr/lib/python3.9/ensurepip/__init__.py")  # of another Python
    assert ask("missing_packages", "15", str(root)) == "python3-venv"


def test_the_administrators_command_makes_no_cluster_of_the_distributions_own():
    command = ask("administrator_command", "postgresql-15", "python3-venv")
    assert "\n" not in command
    assert command.startswith("sudo sh -c '")
    assert command.index("create_main_cluster = false") < command.index("apt-get install")
    assert command.endswith("postgresql-15 python3-venv'")


def test_a_place_that_the_servers_user_cannot_enter_is_known_before_anything_is_installed(tmp_path):
    closed = tmp_path.resolve() / "closed"
    closed.mkdir(mode=0o700)
    for parent in tmp_path.resolve().parents:  # pytest's own folders are closed to others
        if not parent.stat().st_mode & 0o001:
            closed = parent
    assert ask("unreachable_parent", str(tmp_path / "closed" / "foresight")) == str(closed)


def test_a_place_that_everybody_can_enter_is_taken():
    assert ask("unreachable_parent", "/usr/lib/not there/foresight") == ""


def test_the_script_is_valid_shell_and_executable():
    script = CHECKOUT / "foresight"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_nothing_is_installed_for_help_or_to_look_at_nothing(tmp_path):
    home = tmp_path / "home"
    for command, code, words in (("--help", 0, "./foresight run"), ("status", 1, "nothing is set up")):
        done = subprocess.run(
            [str(CHECKOUT / "foresight"), command],
            env={"PATH": "/usr/bin:/bin", "FORESIGHT_HOME": str(home)},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == code
        assert words in done.stdout + done.stderr
    assert not home.exists()
