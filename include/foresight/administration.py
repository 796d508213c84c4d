"""Set-up as single steps: what the login may do itself is run, the rest is handed to an administrator as SQL.

Both are the same statements: what is printed is what would have been run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from include.foresight.errors import ConfigurationError


@dataclass(frozen=True)
class Step:
    """One statement that brings a server nearer to what it should be. `allowed`: whether this login may run it.

    `needs`: who may, where the login may not. `first`: nothing else can be set up before it. `later`: it cannot be run
    yet, and is shown as a comment.
    """

    what: str
    query: sql.Composable
    allowed: bool = True
    needs: str = "a superuser"
    first: bool = False
    later: bool = False


@dataclass(frozen=True)
class Left:
    """A step that this login may not run, on 'primary' or 'replica', with its statement as text."""

    side: str
    login: str
    step: Step
    text: str

    def __str__(self) -> str:
        return f"-- {self.step.what}: for {self.step.needs}\n{self.text}"


class AdministratorNeeded(ConfigurationError):
    """Set-up got as far as its login may go. `left`: what an administrator has to run, in this order."""

    def __init__(self, left: Sequence[Left]) -> None:
        first = left[0]
        what = "; ".join(one.step.what for one in left if one.side == first.side)
        super().__init__(f"set-up of the {first.side} needs a superuser; {first.login} is none and may not: {what}")
        self.left = tuple(left)


@dataclass
class Work:
    """What set-up does on one server. `dry`: nothing is run, and `planned` tells what would be."""

    side: str
    connection: psycopg.Connection
    dry: bool = False
    planned: list[Step] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    def do(self, step: Step) -> bool:
        """Run the step or leave it to an administrator. Whether it is done; a step of a dry run counts as done."""
        if not step.allowed:
            return self._leave(step)
        if self.dry:
            self.planned.append(step)
            return True
        try:
            self.connection.execute(step.query)
        except psycopg.errors.InsufficientPrivilege:
            if not self.connection.autocommit or self.connection.info.transaction_status:
                raise  # the transaction around it is lost
            return self._leave(step)
        return True

    def all(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self.do(step)

    def _leave(self, step: Step) -> bool:
        text = step.query.as_string(self.connection).strip()
        text = text if text.endswith(";") else f"{text};"
        if step.later:
            text = "\n".join(["-- LATER, attach gives it again:", *(f"-- {line}" for line in text.splitlines())])
        self.left.append(Left(self.side, self.connection.info.user, step, text))
        return False


def script(side: str, left: Iterable[Left]) -> str:
    """What an administrator runs on that side, as one script; empty if there is nothing."""
    return "\n\n".join(str(one) for one in left if one.side == side)
