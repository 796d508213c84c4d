"""Real processes: a service is found again, ends with all its children, and is never taken for a stranger."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from launcher.errors import LauncherError
from launcher.processes import Service, lives, run_to_end, wait_until
from launcher.system import server_user

# A leader that starts a child and waits; `deaf` ignores the polite signal.
PROGRAM = """
import signal, subprocess, sys, time
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "300"])
print("child", child.pid, flush=True)
time.sleep(300)
"""


@pytest.fixture
def service(tmp_path):
    made = Service("thing", tmp_path, tmp_path, tmp_path / "thing.log")
    yield made
    made.stop(patience=1)


def start(service: Service, *arguments: str) -> list[psutil.Process]:
    service.start([sys.executable, "-c", PROGRAM, *arguments], {"PATH": "/usr/bin:/bin"})
    assert wait_until(lambda: "child" in service.tail() and len(service.processes()) == 2, 60)
    return service.processes()


def test_a_service_is_found_again_by_another_command(service, tmp_path):
    start(service)
    again = Service("thing", tmp_path, tmp_path, tmp_path / "thing.log")
    assert again.running
    assert [process.name() for process in again.processes()][1] == "sleep"


@pytest.mark.parametrize("arguments", [(), ("deaf",)])
def test_stop_ends_the_leader_and_its_children(service, arguments):
    processes = start(service, *arguments)
    service.stop(patience=1)
    assert not service.running
    assert not any(lives(process) for process in processes)


def test_children_whose_leader_is_dead_are_stopped_too(service):
    leader, child = start(service)
    leader.kill()
    assert wait_until(lambda: not lives(leader), 60)
    assert not service.running
    service.stop(patience=1)
    assert not lives(child)


# A child that hides itself as Airflow's workers do: only root may read where it works.
HIDDEN = """
import ctypes, os, time
if os.fork() == 0:
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
    print("child", os.getpid(), flush=True)
time.sleep(300)
"""


@pytest.mark.parametrize("leader_dies", [False, True])
def test_a_child_that_hides_from_a_normal_user_is_stopped_too(leader_dies):
    user = server_user()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        user.own(folder)
        pid = os.fork()
        if pid == 0:  # in a process of its own: it gives up root's rights for good
            code = 1
            try:
                if os.getuid() != user.uid:
                    os.setgroups([])
                    os.setgid(user.gid)
                    os.setuid(user.uid)
                service = Service("thing", folder, folder, folder / "log")
                code = 0 if _hidden_child_is_stopped(service, leader_dies) else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _hidden_child_is_stopped(service: Service, leader_dies: bool) -> bool:
    service.start([sys.executable, "-c", HIDDEN], {"PATH": "/usr/bin:/bin"})
    if not wait_until(lambda: "child" in service.tail(), 60):
        return False
    child = psutil.Process(int(service.tail().split()[1]))
    try:
        child.cwd()
        return False  # it does not hide: the test would show nothing
    except psutil.AccessDenied:
        pass
    if leader_dies:
        leader = psutil.Process(int(service.pid_file.read_text()))
        leader.kill()
        wait_until(lambda: not lives(leader), 60)
    service.stop(patience=1)
    stopped = not lives(child)
    if not stopped:
        child.kill()
    return stopped


def test_a_stale_pid_file_never_costs_a_stranger_its_life(service):
    stranger = subprocess.Popen(["sleep", "300"], start_new_session=True)
    try:
        service.pid_file.write_text(str(stranger.pid))
        assert not service.running
        service.stop(patience=1)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_program_that_fails_is_quoted(tmp_path):
    with pytest.raises(LauncherError, match=r"the step failed \(exit code 3\)(.|\n)*why it failed"):
        run_to_end(["sh", "-c", "echo why it failed; exit 3"], "the step", tmp_path / "log")
