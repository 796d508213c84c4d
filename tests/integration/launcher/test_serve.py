"""./foresight serve: it says where it serves once it does, and leaves nothing behind, however it is ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from launcher.processes import lives, wait_until
from launcher.system import CHECKOUT
from tests.support.servers import free_port

SECONDS = 120
# A server answers that it lives without any database.
NOWHERE = json.dumps(
    {"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "extra": json.dumps({"sslmode": "disable"})}
)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return os.environ | {
        "AIRFLOW_CONN_FORESIGHT_PRIMARY": NOWHERE,
        "AIRFLOW_CONN_FORESIGHT_REPLICA": NOWHERE,
        "FORESIGHT_JOURNAL": str(tmp_path / "journal"),
        "PYTHONPATH": str(CHECKOUT),
        "TMPDIR": str(tmp_path),
    }


@contextlib.contextmanager
def serving(environment: dict[str, str], port: int) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "launcher", "serve", "--port", str(port)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            for one in [*psutil.Process(process.pid).children(recursive=True), process]:
                one.kill()
        process.communicate()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/ml/alive", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_ended_by_a_signal_it_leaves_nothing(environment: dict[str, str], tmp_path: Path, how: signal.Signals):
    """The signal reaches the command alone, as from `kill`."""
    port = free_port()
    with serving(environment, port) as command:
        said = command.stdout.readline()
        assert f"http://127.0.0.1:{port}/api/ml/docs" in said, command.stderr.read()
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", port))
        assert wait_until(lambda: answers(port), SECONDS)
        started = psutil.Process(command.pid).children(recursive=True)
        assert sum("spawn_main" in " ".join(one.cmdline()) for one in started) == 2
        command.send_signal(how)
        assert command.wait(SECONDS) == 130
        assert [one for one in started if lives(one)] == []
        socket.create_server(("127.0.0.1", port)).close()
    assert list((tmp_path / "journal").iterdir()) == [] and list(tmp_path.glob("metrics-*")) == []


def test_a_port_that_is_taken_is_said_and_no_address(environment: dict[str, str]):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with serving(environment, port) as command:
            out, err = command.communicate(timeout=SECONDS)
    assert command.returncode == 1 and "http" not in out
    assert "in use" in err and str(port) in err and "Traceback" not in err


def test_a_connection_that_cannot_be_read_is_said_at_once(environment: dict[str, str]):
    broken = environment | {"AIRFLOW_CONN_FORESIGHT_REPLICA": '{"extra": {"sslmod": "require"}}'}
    with serving(broken, free_port()) as command:
        out, err = command.communicate(timeout=SECONDS)
    assert command.returncode == 1 and "http" not in out
    assert "connection 'foresight_replica': its extra has 'sslmod'" in err
