"""One database session: its prepared statements, its loaded models, and how errors leave Python."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .cache import ModelCache
from .errors import PgmlError

STATEMENTS = Path(__file__).parent / "statements"
# How often a fit looks whether it is to end, in seconds, however short its rounds are.
LISTENS_EVERY = 0.05


class Session:
    """What outlives a call. Every role that uses the session shares it, so nothing in it may answer for a right."""

    def __init__(self, plpy: Any) -> None:
        self.plpy = plpy
        self.models = ModelCache()
        self._plans: dict[str, Any] = {}
        self._listened = 0.0
        # PostgreSQL puts the name of a Python error's class before its message; this one makes it read "pgml: ...".
        self._sql_error = type("pgml", (plpy.Error,), {"__module__": "builtins"})

    @classmethod
    def of(cls, plpy: Any, gd: dict[str, Any]) -> Session:
        session = gd.get("pgml_engine")
        if session is None:
            session = gd["pgml_engine"] = cls(plpy)
        return session

    def run(self, statement: str, types: tuple[str, ...] = (), values: tuple[Any, ...] = ()) -> Any:
        """Run statements/<statement>.sql, prepared once per session. PostgreSQL plans it anew when the role changes."""
        plan = self._plans.get(statement)
        if plan is None:
            text = (STATEMENTS / f"{statement}.sql").read_text(encoding="utf-8")
            plan = self._plans[statement] = self.plpy.prepare(text, list(types))
        return self.plpy.execute(plan, list(values))

    def cancel_point(self) -> None:
        """Let a cancel, a time-out or a lost client through. Without it a fit runs on to its last round."""
        now = time.monotonic()
        if now - self._listened > LISTENS_EVERY:
            self._listened = now
            self.plpy.execute("select 1")

    def sql_error(self, message: str, sqlstate: str, detail: str | None = None, hint: str | None = None) -> Exception:
        raised = self._sql_error(message)
        raised.sqlstate, raised.detail, raised.hint = sqlstate, detail, hint
        return raised


def entry_point(function: Callable[..., Any]) -> Callable[..., Any]:
    """Marks what SQL calls: what is refused, here or by the database, is an error "pgml: ..." with its SQLSTATE."""

    @functools.wraps(function)
    def call(session: Session, *arguments: Any) -> Any:
        try:
            return function(session, *arguments)
        except PgmlError as error:
            raise session.sql_error(str(error), error.sqlstate, hint=error.hint) from None
        except session.plpy.SPIError as error:
            # Errors of the SPI layer itself carry neither.
            _, detail, hint, *_ = getattr(error, "spidata", None) or (None, None, None)
            raise session.sql_error(str(error), getattr(error, "sqlstate", "XX000"), detail, hint) from None

    return call
