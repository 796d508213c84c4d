"""A PgBouncer in front of a server, where the machine has that package."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from launcher.system import server_user
from tests.support.servers import free_port

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")


@contextlib.contextmanager
def pgbouncer(conninfo: str, mode: str, **settings: object) -> Iterator[str]:
    """The conninfo of the same login through a PgBouncer with that pool_mode."""
    place = conninfo_to_dict(conninfo)
    port = free_port()
    user = server_user()
    with TemporaryDirectory(prefix="pgbouncer-", dir="/var/tmp") as folder:
        logins, configuration = Path(folder, "logins"), Path(folder, "pgbouncer.ini")
        logins.write_text(f'"{place["user"]}" "{place["password"]}"\n')
        lines = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": logins,
            "pool_mode": mode,
            # Else it refuses whoever sends settings of the session when connecting.
            "ignore_startup_parameters": "options",
        } | settings
        stated = "\n".join(f"{name} = {value}" for name, value in lines.items())
        configuration.write_text(f"[databases]\n* = host={place['host']} port={place['port']}\n[pgbouncer]\n{stated}\n")
        for path in (Path(folder), logins, configuration):
            shutil.chown(path, user.uid, user.gid)
        process = subprocess.Popen(
            [str(PROGRAM), "-q", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **user.as_popen,
        )
        try:
            through = make_conninfo(conninfo, host="127.0.0.1", port=port)
            wait_until_it_answers(through, process)
            yield through
        finally:
            process.terminate()
            process.wait(10)


def wait_until_it_answers(conninfo: str, process: subprocess.Popen) -> None:
    for _ in range(200):
        assert process.poll() is None, "pgbouncer has ended"
        try:
            psycopg.connect(conninfo).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise AssertionError("pgbouncer does not answer")
