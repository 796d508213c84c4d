"""The prediction log on its way to the primary: first a file of this process, then batches into ml.prediction_log.

An answer leaves only after its row is in the file, so a primary that is away and a process that is killed lose nothing;
a row's id is made with the prediction, so a batch that is sent twice doubles nothing. A process that starts takes over
the files of dead ones. SQLite keeps the file: the operating system has a killed process's writes, which is all we need.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from include.foresight import names
from include.foresight.database import Databases, message
from include.foresight.sql import statement

log = logging.getLogger(__name__)

BATCH = 500
# How long a row rests here when the primary is well, and how long after it did not answer.
PAUSE_SECONDS = 0.5
AWAY_SECONDS = 5.0

SUFFIX = ".journal"


class Journal:
    """One process's journal and the thread that empties it. `folder` is shared by the processes of one server."""

    def __init__(self, folder: Path, databases: Databases) -> None:
        self.folder, self._databases = folder, databases
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / f"{os.getpid()}-{uuid4().hex[:8]}{SUFFIX}"
        # Held as long as the process lives, however it ends.
        self._held = _lock(self.path)
        self._lock = threading.Lock()
        self._file = _open(self.path)
        self._wake, self._ending = threading.Event(), False
        self._thread = threading.Thread(target=self._empty_for_ever, name="prediction-journal", daemon=True)
        self._thread.start()

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep these rows of ml.prediction_log. They are safe when this returns."""
        if not rows:
            return
        texts = [(json.dumps(row, default=str, allow_nan=False),) for row in rows]
        with self._lock:
            self._file.executemany(statement("journal/file_append").as_string(), texts)
            self._file.commit()
        self._wake.set()

    def backlog(self) -> int:
        """Rows that are not on the primary yet, of this process."""
        with self._lock:
            return _count(self._file)

    def close(self, patience: float = 5.0) -> None:
        """Send what can be sent within `patience` seconds; the rest waits in the file for the next process."""
        self._ending = True
        self._wake.set()
        self._thread.join(patience)
        with self._lock:
            empty = _count(self._file) == 0
            self._file.close()
        if empty:
            _remove(self.path)
        self._held.close()

    def _empty_for_ever(self) -> None:
        pause = 0.0
        while True:
            self._wake.wait(pause or None)
            self._wake.clear()
            try:
                self._adopt()
                while self._send(self._file, self._lock):
                    pass
                pause = PAUSE_SECONDS
            except Exception as error:
                log.warning("the prediction log waits in %s: %s", self.path, message(error))
                pause = AWAY_SECONDS
            if self._ending:
                return

    def _send(self, file: sqlite3.Connection, lock: contextlib.AbstractContextManager) -> int:
        """One batch to the primary, then out of the file; how many rows it had."""
        with lock:
            batch = file.execute(statement("journal/file_oldest").as_string(), (BATCH,)).fetchall()
        if not batch:
            return 0
        with self._databases.primary() as primary, primary.transaction(names.LOG_WRITER) as tx:
            tx.run("journal/insert", {"rows": f"[{','.join(line for _, line in batch)}]"})
        with lock:
            file.execute(statement("journal/file_forget").as_string(), (batch[-1][0],))
            file.commit()
        return len(batch)

    def _adopt(self) -> None:
        """Send what dead processes have left."""
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            if path == self.path:
                continue
            with contextlib.suppress(BlockingIOError):
                held = _lock(path)
                try:
                    file = _open(path)
                    while self._send(file, contextlib.nullcontext()):
                        pass
                    file.close()
                    _remove(path)
                    log.info("the journal of a dead process is on the primary: %s", path.name)
                finally:
                    held.close()


def waiting(folder: Path) -> int:
    """Rows in all journals of a folder, whoever's they are."""
    count = 0
    for path in folder.glob(f"*{SUFFIX}"):
        with contextlib.suppress(sqlite3.Error), contextlib.closing(_open(path)) as file:
            count += _count(file)
    return count


def _open(path: Path) -> sqlite3.Connection:
    file = sqlite3.connect(path, check_same_thread=False, timeout=30)
    file.execute("pragma journal_mode = wal")
    # What is written is the operating system's: it outlives the process, if not the machine's power.
    file.execute("pragma synchronous = off")
    file.execute(statement("journal/file_create").as_string())
    return file


def _count(file: sqlite3.Connection) -> int:
    return file.execute(statement("journal/file_count").as_string()).fetchone()[0]


def _lock(path: Path) -> Any:
    """Raises BlockingIOError when a living process holds it."""
    held = path.with_suffix(".lock").open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        raise
    return held


def _remove(path: Path) -> None:
    for name in (
        path,
        path.with_name(path.name + "-wal"),
        path.with_name(path.name + "-shm"),
        path.with_suffix(".lock"),
    ):
        name.unlink(missing_ok=True)
