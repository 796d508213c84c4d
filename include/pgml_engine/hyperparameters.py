"""Hyperparameters from the caller's JSON to the names and types of a library. None is dropped in silence."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import NotSupported, PgmlError


@dataclass(frozen=True)
class Hyperparameter:
    """`name` is the library's own. `words` are the values that text may take, as the library spells them."""

    name: str
    kind: type = float
    aliases: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None
    refused: str | None = None


def read(algorithm: str, given: Mapping[str, Any], known: tuple[Hyperparameter, ...]) -> dict[str, Any]:
    """The given values by the library's names. Unknown names, wrong types and one thing said twice are errors."""
    by_name = {name: parameter for parameter in known for name in (parameter.name, *parameter.aliases)}
    values: dict[str, Any] = {}
    said: dict[str, str] = {}
    for name, value in given.items():
        parameter = by_name.get(name)
        if parameter is None:
            offered = ", ".join(sorted(entry.name for entry in known if not entry.refused))
            raise PgmlError(f'unknown hyperparameter "{name}" for {algorithm}; known are: {offered}')
        if parameter.refused:
            raise NotSupported(f'hyperparameter "{name}" of {algorithm} is not supported: {parameter.refused}')
        if parameter.name in said:
            raise PgmlError(
                f'hyperparameters "{said[parameter.name]}" and "{name}" of {algorithm} are the same thing: give one'
            )
        said[parameter.name] = name
        values[parameter.name] = _typed(algorithm, name, value, parameter)
    return values


def _typed(algorithm: str, name: str, value: Any, parameter: Hyperparameter) -> Any:
    def refuse(rule: str) -> PgmlError:
        return PgmlError(f'hyperparameter "{name}" of {algorithm} must be {rule}, got {json.dumps(value)}')

    if parameter.kind is bool:
        if not isinstance(value, bool):
            raise refuse("true or false")
        return value
    if parameter.kind is str:
        if value not in parameter.words:
            raise refuse(f"one of {', '.join(parameter.words)}")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise refuse("a whole number" if parameter.kind is int else "a number")
    if parameter.kind is int and value != int(value):
        raise refuse("a whole number")
    if parameter.at_least is not None and value < parameter.at_least:
        raise refuse(f"at least {parameter.at_least:g}")
    if parameter.at_most is not None and value > parameter.at_most:
        raise refuse(f"at most {parameter.at_most:g}")
    return parameter.kind(value)
