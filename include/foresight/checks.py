"""Checks of a client's data: sql/checks/<name>.sql. The header says what one means; README.md there has the format."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from include.foresight.errors import ConfigurationError
from include.foresight.sql import ROOT

CHECKS = ROOT / "checks"

SEVERITIES = ("block", "warn", "quarantine")
ENTITIES = ("issue", "pull_request")
# What a check can ask for by these names is given; `run_id` and `check_name` are those of the statement around it.
GIVEN = ("client_id", "as_of", "predicted")
RESERVED = (*GIVEN, "run_id", "check_name")

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
KEY_LINE = re.compile(r"-- (?P<key>[a-z_]+):(?: +(?P<value>.*))?")
PLACEHOLDER = re.compile(r"%(?:\((?P<name>[^)]*)\)s|(?P<doubled>%)|(?P<stray>.|$))", re.DOTALL)
KEYS = ("severity", "model", "entity", "thresholds")

Threshold = int | float | str


@dataclass(frozen=True)
class Check:
    """One file. `reason` is the header's sentence, `model` None means all; `thresholds` are parameters of `sql`."""

    name: str
    reason: str
    severity: str
    sql: str
    model: str | None = None
    entity: str | None = None
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)

    def for_client(self, overrides: Mapping[str, Any]) -> Check:
        """The check with a client's own thresholds, {"max_share": 0.5}. Raises ConfigurationError for one it lacks."""
        if not isinstance(overrides, Mapping):
            raise ConfigurationError(f"check '{self.name}': overrides must be an object, got {overrides!r}")
        for key, value in overrides.items():
            if key not in self.thresholds:
                there = ", ".join(self.thresholds) or "none"
                raise ConfigurationError(f"check '{self.name}' has no threshold '{key}': there is {there}")
            kind = str if isinstance(self.thresholds[key], str) else (int, float)
            if isinstance(value, bool) or not isinstance(value, kind):
                wanted = "a text" if kind is str else "a number"
                raise ConfigurationError(f"check '{self.name}': threshold '{key}' must be {wanted}, got {value!r}")
        return replace(self, thresholds={**self.thresholds, **overrides})


def names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in CHECKS.glob("*.sql")))


def read_all() -> list[Check]:
    """Every check, by name. Raises ConfigurationError if one is not as it should be."""
    return [parse(path) for path in sorted(CHECKS.glob("*.sql"))]


def chosen(overrides: Mapping[str, Any]) -> list[Check]:
    """Every check as a client has it. `overrides` is {"<check>": {"<threshold>": value}}."""
    found = read_all()
    if not isinstance(overrides, Mapping):
        raise ConfigurationError(f"overrides of checks must be an object, got {overrides!r}")
    unknown = sorted(overrides.keys() - {check.name for check in found})
    if unknown:
        raise ConfigurationError(f"there is no check '{unknown[0]}' to override: there are {', '.join(names())}")
    return [check.for_client(overrides.get(check.name, {})) for check in found]


def parse(path: Path) -> Check:
    """One file's check. Raises ConfigurationError that names the file, the line and the rule."""

    def wrong(number: int, rule: str) -> NoReturn:
        raise ConfigurationError(f"{path.name}, line {number}: {rule}")

    if not NAME.fullmatch(path.stem):
        wrong(1, f"the name of a check is small letters, digits and _, got '{path.stem}'")
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = next((at for at, line in enumerate(lines) if not line.startswith("--")), len(lines))
    sentence: list[str] = []
    stated: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for number, line in enumerate(lines[:comments], start=1):
        key_line = KEY_LINE.fullmatch(line)
        if key_line:
            key, value = key_line["key"], (key_line["value"] or "").strip()
            if key not in KEYS:
                wrong(number, f"'{key}' is none of {', '.join(KEYS)}")
            if key in stated:
                wrong(number, f"'{key}' is stated twice")
            stated[key], numbers[key] = value, number
        elif not stated:
            sentence.append(line.removeprefix("--").strip())
    reason = " ".join(filter(None, sentence))
    if not reason:
        wrong(1, "the header must begin with the reason, a sentence")
    if "severity" not in stated:
        wrong(max(comments, 1), f"the header must have a line '-- severity: {'|'.join(SEVERITIES)}'")
    severity, model, entity = stated["severity"], stated.get("model"), stated.get("entity")
    if severity not in SEVERITIES:
        wrong(numbers["severity"], f"severity must be one of {', '.join(SEVERITIES)}, got '{severity}'")
    if model is not None:
        if not NAME.fullmatch(model):
            wrong(numbers["model"], f"model must be the name of one model, got '{model}'")
        if severity == "quarantine":
            wrong(numbers["model"], "what is set aside is set aside for every model: a quarantine check has no model")
    if severity == "quarantine":
        if entity not in ENTITIES:
            wrong(
                numbers.get("entity", numbers["severity"]),
                f"entity of a quarantine check must be one of {', '.join(ENTITIES)}, got '{entity or ''}'",
            )
    elif entity is not None:
        wrong(numbers["entity"], f"only a quarantine check has an entity, this one is '{severity}'")

    thresholds = {}
    if "thresholds" in stated:
        number = numbers["thresholds"]
        try:
            thresholds = json.loads(stated["thresholds"])
        except json.JSONDecodeError as error:
            wrong(number, f"thresholds must be JSON: {error}")
        if not isinstance(thresholds, dict):
            wrong(number, f"thresholds must be an object, got {stated['thresholds']}")
        for key, value in thresholds.items():
            if not NAME.fullmatch(key) or key in RESERVED:
                wrong(number, f"'{key}' cannot be the name of a threshold")
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                wrong(number, f"threshold '{key}' must be a number or a text, got {value!r}")

    asked = check_statement(lines, comments, thresholds, wrong)
    unused = sorted(thresholds.keys() - asked)
    if unused:
        wrong(numbers["thresholds"], f"threshold '{unused[0]}' is not in the statement")
    return Check(path.stem, reason, severity, "\n".join(lines) + "\n", model, entity, thresholds)


def check_statement(lines: list[str], begin: int, thresholds: Mapping[str, Any], wrong: Any) -> set[str]:
    """The parameters that the statement asks for; `wrong(line, rule)` for one that is not known, and other faults."""
    if not any(line.strip() and not line.strip().startswith("--") for line in lines[begin:]):
        wrong(len(lines) + 1, "the statement is missing")
    asked = set()
    for number, line in enumerate(lines, start=1):
        if number > begin and ";" in line.partition("--")[0]:
            wrong(number, "a check is one statement, without a semicolon")
        # The driver looks for parameters in comments too.
        for found in PLACEHOLDER.finditer(line):
            if found["stray"] is not None:
                wrong(number, "a literal % must be doubled")
            if found["name"] is None:
                continue
            if found["name"] not in GIVEN and found["name"] not in thresholds:
                known = ", ".join([*GIVEN, *thresholds])
                wrong(number, f"%({found['name']})s is neither given nor a threshold; known are {known}")
            asked.add(found["name"])
    return asked
