"""docker-compose.yaml as Docker would read it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yaml"

# ${NAME}, ${NAME:-default}, ${NAME:?why}; $$ is a dollar.
VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


@cache
def stated() -> dict[str, Any]:
    """The file with its anchors resolved, variables as they stand."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def variables(text: str) -> dict[str, tuple[str | None, str]]:
    """By name, ('?', why) of what must be set, ('-', default) of what may."""
    return {one["name"]: (one["kind"], one["rest"] or "") for one in VARIABLE.finditer(text) if one["name"]}


def interpolated(value: Any, given: Mapping[str, str]) -> Any:
    """Variables filled in; KeyError for one that must be set and is not."""
    if isinstance(value, dict):
        return {name: interpolated(one, given) for name, one in value.items()}
    if isinstance(value, list):
        return [interpolated(one, given) for one in value]
    if not isinstance(value, str):
        return value

    def fill(found: re.Match[str]) -> str:
        if not found["name"]:
            return "$"
        if given.get(found["name"]):
            return given[found["name"]]
        if found["kind"] == "?":
            raise KeyError(found["name"])
        return found["rest"] or ""

    return VARIABLE.sub(fill, value)
