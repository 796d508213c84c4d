"""What a caller is told when a request cannot be met: the thing, the rule and the value."""

from __future__ import annotations


class PgmlError(Exception):
    """The request is refused. `sqlstate` is what a program looks at, the message is for people."""

    sqlstate = "22023"  # invalid_parameter_value

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class NotSupported(PgmlError):
    """PostgresML knows it, this version does not."""

    sqlstate = "0A000"


class NotFound(PgmlError):
    """There is no such project, model or deployment among those that the caller may see."""

    sqlstate = "42704"


class RelationNotFound(PgmlError):
    """There is no such table or view."""

    sqlstate = "42P01"


class ColumnNotFound(PgmlError):
    """The relation has no such column."""

    sqlstate = "42703"


class WrongType(PgmlError):
    """A column's type is not one that can be a number."""

    sqlstate = "42804"


class NotPermitted(PgmlError):
    """The thing belongs to another role."""

    sqlstate = "42501"


class BadData(PgmlError):
    """The rows themselves cannot be learned from or predicted on."""

    sqlstate = "22000"


class TooLarge(PgmlError):
    """More rows and columns than one backend may hold."""

    sqlstate = "54000"
