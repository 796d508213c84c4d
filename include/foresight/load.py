"""What a training asks of its replica: processor time, memory, temporary files, its longest statement."""

from __future__ import annotations

from dataclasses import dataclass

from include.foresight import pgml
from include.foresight.database import Session


@dataclass(frozen=True)
class Load:
    """`cpu_seconds` and `peak_bytes` (of the session's process) are None where the engine has no meters; `temp_bytes`:
    of all sessions of the database meanwhile, the server does not count them apart."""

    cpu_seconds: float | None
    peak_bytes: int | None
    temp_bytes: int
    longest_seconds: float
    longest_statement: str


class Meter:
    """Counts from now on what is done in a session of the client's."""

    def __init__(self, session: Session, client_id: int) -> None:
        self._client_id = client_id
        self._process = session.backend()
        self._temp_bytes = self._temporary(session)
        self._used = self._read(session, anew=True)
        session.longest.forget()

    def load(self, session: Session, seconds: float) -> Load:
        """Until now. A process that was ended with a hung fit has taken its counts along: then the `seconds` on the
        clock stand for its processor time, which one thread cannot exceed."""
        longest = session.longest.seconds, session.longest.statement
        ended = self._read(session)
        cpu_seconds, peak_bytes = None, None
        if self._used is not None and ended is not None:
            same = session.backend() == self._process
            cpu_seconds = ended.cpu_seconds - self._used.cpu_seconds if same else seconds
            peak_bytes = ended.peak_bytes if same else None
        return Load(cpu_seconds, peak_bytes, max(self._temporary(session) - self._temp_bytes, 0), *longest)

    def _read(self, session: Session, *, anew: bool = False) -> pgml.Used | None:
        with session.as_client(self._client_id) as tx:
            return pgml.used(tx, anew=anew)

    def _temporary(self, session: Session) -> int:
        with session.as_client(self._client_id) as tx:
            tx.run("load/flush")
        with session.as_client(self._client_id) as tx:
            return tx.one("load/temporary_files")["temp_bytes"]
