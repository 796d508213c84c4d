"""Services: detached processes that outlive this command, found again later and never mistaken for a stranger's."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from launcher.errors import LauncherError


@dataclass(frozen=True)
class Service:
    """One process and its descendants: a session of its own, started in `folder`.

    The number in the pid file alone proves nothing, numbers are used again. A process is ours if it is in the recorded
    session **and** works in our folder, which no stranger's does.
    """

    name: str
    folder: Path
    run: Path
    log: Path

    @property
    def pid_file(self) -> Path:
        return self.run / f"{self.name}.pid"

    def start(self, command: Sequence[str | Path], environment: dict[str, str]) -> None:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid_file.write_text(str(process.pid))

    def processes(self) -> list[psutil.Process]:
        """Every living process of the service, its leader first."""
        try:
            leader = int(self.pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return []
        found = [process for process in psutil.process_iter() if belongs(process, leader, self.folder)]
        return sorted(found, key=lambda process: process.pid != leader)

    @property
    def running(self) -> bool:
        processes = self.processes()
        return bool(processes) and str(processes[0].pid) == self.pid_file.read_text()

    def stop(self, patience: float = 15) -> None:
        """End the leader, which ends its children; what is left after `patience` seconds is killed."""
        processes = self.processes()
        end(processes, signal.SIGTERM, patience)
        end(self.processes(), signal.SIGKILL, 5)
        self.pid_file.unlink(missing_ok=True)

    def tail(self, lines: int = 20) -> str:
        return tail(self.log, lines)


def belongs(process: psutil.Process, session: int, folder: Path) -> bool:
    try:
        if os.getsid(process.pid) != session or not lives(process):
            return False
        try:
            return Path(process.cwd()) == folder
        except psutil.AccessDenied:
            # Airflow's workers hide what they hold from everybody but root (PR_SET_DUMPABLE), and their folder with it.
            return process.uids().real == os.getuid() and not led_elsewhere(session, folder)
    except (psutil.Error, ProcessLookupError, PermissionError):
        return False


def led_elsewhere(session: int, folder: Path) -> bool:
    """Whether the session's leader lives and works in another folder. A folder that cannot be read raises."""
    try:
        return Path(psutil.Process(session).cwd()) != folder
    except psutil.NoSuchProcess:  # a dead one: while anything of its session lives, its number is not used again
        return False


def end(processes: Sequence[psutil.Process], how: signal.Signals, patience: float) -> None:
    """Signal the processes and wait until they are gone or `patience` seconds have passed."""
    for process in processes:
        try:
            process.send_signal(how)  # psutil compares the start time: a number used again is not signalled
        except psutil.NoSuchProcess:
            pass
    wait_until(lambda: not any(lives(process) for process in processes), patience, 0.05)


def lives(process: psutil.Process) -> bool:
    """Whether the process still runs. A dead one may stay listed: in a container whose first process reaps nobody."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def tail(path: Path, lines: int) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 20_000))
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])


def run_to_end(command: Sequence[str | Path], what: str, log: Path, **how) -> None:
    """Run a program that should succeed; if it does not, say what it said."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        code = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
            **how,
        ).returncode
    if code:
        raise LauncherError(f"{what} failed (exit code {code}). The end of {log}:\n{tail(log, 15)}")


def run_in_front(command: Sequence[str], patience: float, how: signal.Signals = signal.SIGTERM, **others: Any) -> int:
    """Run a program until it ends; its exit code. When this process is interrupted the program gets the signal `how`,
    to end what it has started itself; what is left after `patience` seconds is killed.

    It has a session of its own, so that a Ctrl-C reaches it once, from here.
    """
    program = psutil.Popen(command, start_new_session=True, **others)
    try:
        return program.wait()
    finally:
        if lives(program):
            started = [program, *program.children(recursive=True)]
            end(started[:1], how, patience)
            end(started, signal.SIGKILL, 5)


def wait_until(ready, patience: float, every: float = 0.2) -> bool:
    """Ask `ready()` until it says yes (True) or `patience` seconds have passed (False)."""
    deadline = time.monotonic() + patience
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
