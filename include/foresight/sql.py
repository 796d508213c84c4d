"""Statements from sql/: found by path, their identifiers composed, their values left to the driver."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from psycopg import sql

ROOT = Path(__file__).resolve().parents[2] / "sql"


@cache
def text(path: str) -> str:
    """The text of sql/<path>.sql."""
    return (ROOT / f"{path}.sql").read_text(encoding="utf-8")


class Statement(sql.Composed):
    """Composed, and where it is from: its path in sql/statements."""

    def __init__(self, path: str, parts: sql.Composed) -> None:
        super().__init__(parts)
        self.path = path


def statement(path: str, **holes: sql.Composable | str) -> Statement:
    """sql/statements/<path>.sql, its `{name}` holes filled: a string is an identifier, anything else is composed SQL.

    Braces that a statement means literally are doubled in it.
    """
    fitted = {name: sql.Identifier(hole) if isinstance(hole, str) else hole for name, hole in holes.items()}
    return Statement(path, sql.SQL(text(f"statements/{path}")).format(**fitted))
