"""The prediction log on its way to the primary: first a file of this process, then batches into ml.prediction_log.

An answer leaves only after its row is in the file, so a primary that is away and a process that is killed lose nothing;
a row's id is made with the prediction, so a batch that is sent twice doubles nothing. A process that starts takes over
the files of dead ones. SQLite keeps the file: the operating system has a killed process's writes, which is all we need.
A folder that cannot be written fails no prediction: rows then wait in memory, and health says so.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from include.foresight import names
from include.foresight.database import Databases, message
from include.foresight.sql import statement

log = logging.getLogger(__name__)

REFUSALS = (psycopg.DataError, psycopg.IntegrityError)

BATCH = 500
# How long a row rests here when the primary is well, and how long after it did not answer.
PAUSE_SECONDS = 0.5
AWAY_SECONDS = 5.0

# Rows that wait in memory while the folder takes none; what comes beyond is lost.
MEMORY_ROWS = 20_000

SUFFIX = ".journal"
# Of a dead process's file that is none of SQLite's any more, for people to look at.
BROKEN = ".broken"


class Journal:
    """One process's journal and the thread that empties it. `folder` is shared by the processes of one server."""

    def __init__(self, folder: Path, databases: Databases) -> None:
        self.folder, self._databases = folder, databases
        self.path = folder / f"{os.getpid()}-{uuid4().hex[:8]}{SUFFIX}"
        self._lock = threading.Lock()
        self._memory = _open(":memory:")
        self._file: sqlite3.Connection | None = None
        self._held: Any = None
        # Why the newest rows are in memory alone.
        self.trouble: str | None = None
        with self._lock:
            self._in_file(())
        # The first look is for the files of dead processes.
        self._wake, self._ending = threading.Event(), False
        self._wake.set()
        self._thread = threading.Thread(target=self._empty_for_ever, name="prediction-journal", daemon=True)
        self._thread.start()

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep these rows of ml.prediction_log. They are safe when this returns, unless `trouble` says otherwise."""
        if not rows:
            return
        texts = [json.dumps(row, default=str, allow_nan=False) for row in rows]
        with self._lock:
            if not self._in_file(texts):
                if _count(self._memory) + len(texts) > MEMORY_ROWS:
                    log.error("%d rows of the prediction log are lost: %s", len(texts), self.trouble)
                    return
                _append(self._memory, texts)
        self._wake.set()

    def _in_file(self, texts: Sequence[str]) -> bool:
        """Whether the rows are in the file, which is opened when it can be."""
        try:
            if self._file is None:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                # Held as long as the process lives, however it ends.
                self._held = self._held or _lock(self.path)
                self._file = _open(self.path)
            _append(self._file, texts)
        except (sqlite3.Error, OSError) as error:
            if self.trouble is None:
                log.error("the prediction log cannot be kept in %s, and waits in memory: %s", self.folder, error)
            self.trouble = str(error)
            return False
        self.trouble = None
        return True

    def backlog(self) -> int:
        """Rows that are not on the primary yet, of this process."""
        with self._lock:
            return sum(map(_count, self._files()))

    def in_memory(self) -> int:
        """Those of them that end with the process."""
        with self._lock:
            return _count(self._memory)

    def _files(self) -> list[sqlite3.Connection]:
        return [self._memory] if self._file is None else [self._memory, self._file]

    def close(self, patience: float = 5.0) -> None:
        """Send what can be sent within `patience` seconds; the rest waits in the file for the next process."""
        self._ending = True
        self._wake.set()
        self._thread.join(patience)
        with self._lock:
            if lost := _count(self._memory):
                log.error("%d rows of the prediction log are lost: %s", lost, self.trouble)
            self._memory.close()
            if self._file is not None:
                empty = _count(self._file) == 0
                self._file.close()
                if empty:
                    _remove(self.path)
            if self._held is not None:
                self._held.close()

    def _empty_for_ever(self) -> None:
        pause = 0.0
        while True:
            self._wake.wait(pause or None)
            self._wake.clear()
            try:
                for file in self._files():
                    while self._send(file, self._lock):
                        pass
                self._adopt()
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
        lines = [line for _, line in batch]
        try:
            self._insert(lines)
        except REFUSALS:  # of some of them
            for line in lines:
                self._insert_alone(line)
        with lock, file:
            file.execute(statement("journal/file_forget").as_string(), (batch[-1][0],))
        return len(batch)

    def _insert(self, lines: Sequence[str]) -> None:
        with self._databases.primary() as primary, primary.transaction(names.LOG_WRITER) as tx:
            tx.run("journal/insert", {"rows": f"[{','.join(lines)}]"})

    def _insert_alone(self, line: str) -> None:
        """A row that the primary refuses must not hold the others back. It would be refused for ever (its client is
        erased), so it goes, and is named."""
        try:
            self._insert([line])
        except REFUSALS as error:
            name = re.search('"prediction_uuid": "([0-9a-f-]{36})"', line)
            log.error("the primary refuses prediction %s: %s", name and name[1], message(error))

    def _adopt(self) -> None:
        """Send what dead processes have left."""
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            if path == self.path:
                continue
            with contextlib.suppress(BlockingIOError):
                held = _lock(path)
                try:
                    with contextlib.closing(_open(path)) as file:
                        while self._send(file, contextlib.nullcontext()):
                            pass
                    _remove(path)
                    log.info("the journal of a dead process is on the primary: %s", path.name)
                except sqlite3.OperationalError as error:  # the disk's or the folder's
                    log.warning("the journal of a dead process cannot be read yet: %s: %s", path, error)
                except sqlite3.DatabaseError as error:
                    path.replace(path.with_suffix(BROKEN))
                    log.error("the journal of a dead process is broken and left alone: %s: %s", path, error)
                finally:
                    held.close()


def waiting(folder: Path) -> int:
    """Rows in all journals of a folder, whoever's they are."""
    count = 0
    for path in folder.glob(f"*{SUFFIX}"):
        with contextlib.suppress(sqlite3.Error), contextlib.closing(_open(path)) as file:
            count += _count(file)
    return count


def _append(file: sqlite3.Connection, texts: Sequence[str]) -> None:
    """All or none of them."""
    with file:
        file.executemany(statement("journal/file_append").as_string(), [(text,) for text in texts])


def _open(path: Path | str) -> sqlite3.Connection:
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
