"""Which code made a number."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def release() -> str:
    """The newest release that the changelog has."""
    found = re.search(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else "unreleased"


@cache
def code_version() -> str:
    """A digest of what decides a prediction: the library, the engine's glue and the SQL. Deployments need no git."""
    digest = hashlib.sha256()
    for path in sorted([*ROOT.glob("include/**/*.py"), *ROOT.glob("sql/**/*.sql"), *ROOT.glob("sql/**/*.toml")]):
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
