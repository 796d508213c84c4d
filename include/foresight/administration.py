"""Set-up as single steps: what the login may do itself is run, the rest is handed to an administrator as SQL.

Both are the same statements: what is printed is what would have been run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from include.foresight.errors import ConfigurationError, ForesightError

T = TypeVar("T")

# How long a definition may wait for a table that is being read: every later reader of the table waits behind it. Longer
# than it takes for readers of ours to be asked to give way (guard.py).
LOCK_SECONDS = 3.0
PAUSE_SECONDS = 1.0
# How long a definition is tried again.
PATIENCE = 600.0


def patiently(
    body: Callable[[], T],
    *,
    patience: float = PATIENCE,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], object] = time.sleep,
) -> T:
    """What `body` returns: definitions whose session does not wait long for a lock. Between its tries readers pass.
    Raises ForesightError when it still gets no lock after `patience` seconds."""
    deadline = clock() + patience
    while True:
        try:
            return body()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            if clock() >= deadline:
                raise ForesightError(
                    f"a table is in use and could not be changed for {patience:.0f} s ({error.diag.message_primary}): "
                    "pg_locks and pg_stat_activity show who reads it; end that and try again"
                ) from error
        pause(PAUSE_SECONDS)


def with_locks(connection: psycopg.Connection, body: Callable[[], T]) -> T:
    """As `patiently`, for definitions on this connection: in autocommit, or in one transaction that `body` opens."""
    if connection.info.transaction_status != TransactionStatus.IDLE:
        return body()  # a transaction is tried again as a whole, by whoever has begun it

    def bounded() -> T:
        connection.execute(lock_timeout())
        try:
            return body()
        finally:
            if not connection.closed:
                connection.execute("reset lock_timeout")

    return patiently(bounded)


def lock_timeout() -> sql.Composed:
    return sql.SQL("set lock_timeout to {}").format(f"{LOCK_SECONDS:.0f}s")


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
            with_locks(self.connection, lambda: self.connection.execute(step.query))
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
