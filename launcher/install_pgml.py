"""Put our pgml into a PostgreSQL that exists: the extension's files, and the package that they call."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from launcher import engine, pgml_extension, processes
from launcher.errors import LauncherError
from launcher.instance import engine_environment, home
from launcher.system import CHECKOUT, server_user, unreachable_parent

LOCK = CHECKOUT / "include" / "pgml_engine" / "requirements.lock"
PYTHON = "/usr/bin/python3"
OLDEST = 15


@dataclass(frozen=True)
class Server:
    """A PostgreSQL installation, by its pg_config."""

    pg_config: Path
    major: int
    shared: Path

    @property
    def extensions(self) -> Path:
        return self.shared / "extension"


def look(pg_config: Path) -> Server:
    def ask(what: str) -> str:
        try:
            return subprocess.run([pg_config, what], capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError) as error:
            raise LauncherError(f"{pg_config} does not answer {what}: {error}") from None

    told = ask("--version")
    found = re.match(r"PostgreSQL (\d+)", told)
    if found is None:
        raise LauncherError(f"{pg_config} is not PostgreSQL's: it says {told!r}")
    server = Server(pg_config, int(found[1]), Path(ask("--sharedir")))
    if server.major < OLDEST:
        raise LauncherError(f"{pg_config} is of PostgreSQL {server.major}; pgml needs {OLDEST} or later")
    if not (server.extensions / "plpython3u.control").exists():
        raise LauncherError(
            f"the PostgreSQL of {pg_config} has no PL/Python ({server.extensions}/plpython3u.control): install the "
            f"package postgresql-plpython3-{server.major} first"
        )
    return server


def install(pg_config: Path, environment: Path | None, say: Callable[[str], None], *, dry_run: bool) -> None:
    """Write the extension's files, and the package into `environment`, a virtual environment that is made if need be.

    `dry_run` looks and says what would be done. Nothing is written before everything has been looked at.
    """
    server = look(pg_config)
    environment = environment or engine_environment()
    files = pgml_extension.files(server.extensions)
    changed = {
        name: text
        for name, text in files.items()
        if not (server.extensions / name).exists() or (server.extensions / name).read_text(encoding="utf-8") != text
    }
    # Root finds everything writable; a read-only place says so when it is written to.
    if changed and not os.access(server.extensions, os.W_OK):
        raise LauncherError(
            f"{server.extensions} is not writable: run this as who installs PostgreSQL's packages (root)"
        )
    would = "would write" if dry_run else "wrote"
    say(f"PostgreSQL {server.major}, extension {pgml_extension.NAME} {pgml_extension.version()}")
    if not dry_run:
        _provide(environment, say)
        for name, text in changed.items():
            _write(server.extensions / name, text)
    elif not (environment / "bin" / "python").exists():
        say(f"would make the virtual environment {environment} from {LOCK.name}, with pgml_engine in it")
    else:
        say(f"would bring pgml_engine in {environment} up to date")
    for name in changed:
        say(f"{would} {server.extensions / name}")
    if not changed:
        say(f"{server.extensions}: nothing to change")
    for line in advice(server, environment):
        say(line)


def advice(server: Server, environment: Path) -> list[str]:
    """What is left to who runs the server."""
    lines = [
        f"The server must start with PATH={environment}/bin:/usr/bin:/bin and OMP_NUM_THREADS=1. With the packages of "
        f"Debian and Ubuntu these are two lines in /etc/postgresql/{server.major}/<cluster>/environment:",
        f"  PATH = '{environment}/bin:/usr/bin:/bin'",
        "  OMP_NUM_THREADS = '1'",
        "Then restart it, and in each database: create extension pgml cascade;  "
        "(where one is: alter extension pgml update;)",
    ]
    try:
        user = server_user()
    except LauncherError:
        return lines
    blocked = unreachable_parent(environment, user)
    if blocked:
        lines.append(
            f"Warning: {user.name}, who usually runs the server, may not enter {blocked}: name a --venv that it can"
        )
    return lines


def _provide(environment: Path, say: Callable[[str], None]) -> None:
    """The libraries as locked, unless the environment is there, and the package's present sources."""
    if not (environment / "bin" / "python").exists():
        if environment.exists() and any(environment.iterdir()):
            raise LauncherError(f"{environment} is neither empty nor a virtual environment: name another --venv")
        log = home() / "logs" / "install-pgml.log"
        # PL/Python is the distribution's Python; another version's libraries would not load.
        processes.run_to_end([PYTHON, "-m", "venv", "--without-pip", environment], "making the environment", log)
        command = [home() / "tools" / "bin" / "python", "-m", "pip", "--python", environment / "bin" / "python"]
        options = ["install", "--disable-pip-version-check", "--require-hashes", "--no-deps", "-r", LOCK]
        processes.run_to_end([*command, *options], "installing the libraries", log)
        say(f"made {environment}")
    if engine.install(environment):
        say(f"pgml_engine is in {environment}")


def _write(path: Path, text: str) -> None:
    """By rename: a session that creates the extension meanwhile finds all of it or nothing."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.chmod(0o644)
    temporary.replace(path)
