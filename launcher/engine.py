"""The database server's virtual environment. `pgml_engine` is installed into it, never imported from the checkout:
the user that runs the server may not be able to read that, and it changes while the server runs."""

from __future__ import annotations

import compileall
import hashlib
import shutil
from pathlib import Path

from launcher.errors import LauncherError
from launcher.instance import engine_environment
from launcher.system import CHECKOUT

PACKAGE = "pgml_engine"


def sources(package: Path) -> list[Path]:
    return sorted(path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def fingerprint(package: Path) -> str:
    """What tells one state of the package's sources from another."""
    digest = hashlib.sha256()
    for path in sources(package):
        digest.update(f"{path.relative_to(package)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def install(environment: Path | None = None, package: Path = CHECKOUT / "include" / PACKAGE) -> bool:
    """Put the package's present sources into the environment. Returns whether anything had to be done.

    A copy and nothing else: it is pure Python and its dependencies come from the lock, so no build tool is needed.
    """
    environment = environment or engine_environment()
    site = next(iter(environment.glob("lib/python3*/site-packages")), None)
    if site is None:
        raise LauncherError(f"{environment} is no virtual environment: remove it and start again")
    wanted, stamp = fingerprint(package), site / f"{PACKAGE}.stamp"
    if stamp.exists() and stamp.read_text() == wanted:
        return False
    new, old = site / f".{PACKAGE}.new", site / f".{PACKAGE}.old"
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(package, new, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(new, quiet=1, stripdir=str(new), prependdir=str(site / PACKAGE))
    # By rename: a server may be running, and a session that imports meanwhile must find one state or the other.
    if (site / PACKAGE).exists():
        (site / PACKAGE).rename(old)
    new.rename(site / PACKAGE)
    shutil.rmtree(old, ignore_errors=True)
    stamp.write_text(wanted)
    return True
