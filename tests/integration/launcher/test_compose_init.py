"""docker/init as a local process, with the environment and the secrets that docker-compose.yaml gives it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from launcher.airflow import CONNECTION_OPTIONS
from launcher.clusters import ensure_database
from launcher.system import CHECKOUT
from tests.support.compose import interpolated, stated
from tests.support.servers import Servers

WEBHOOK = """AIRFLOW_CONN_FORESIGHT_WEBHOOK='{"conn_type": "http"}'"""


@pytest.mark.long
def test_init_sets_everything_up_and_can_be_repeated(tmp_path: Path):
    servers = Servers()
    try:
        servers.start()
        environment, secrets = prepared(servers, tmp_path)
        ensure_database(servers.primary, "airflow", owner="airflow", password=read(secrets / "metadata_password"))
        for cluster in (servers.primary, servers.replica):
            ensure_database(cluster, "platform")
        (secrets / "further_connections").write_text(f"{WEBHOOK}\n")
        for _ in range(2):
            done = init(environment)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert "3 were there" in done.stdout
        written = Path(environment["FORESIGHT_CONNECTIONS"])
        assert stat.S_IMODE(written.stat().st_mode) == 0o600
        primary, replica, *further = written.read_text().splitlines()
        assert further == [WEBHOOK]
        assert read(secrets / "replication_password") not in written.read_text()
        for line, name in ((primary, "AIRFLOW_CONN_FORESIGHT_PRIMARY"), (replica, "AIRFLOW_CONN_FORESIGHT_REPLICA")):
            stated_name, _, value = line.partition("=")
            assert stated_name == name
            login = json.loads("".join(shlex.split(value)))
            assert login["extra"]["options"] == CONNECTION_OPTIONS
            place = {
                "host": login["host"],
                "port": login["port"],
                "dbname": login["schema"],
                "user": login["login"],
                "password": login["password"],
            }
            with psycopg.connect(make_conninfo(**place)) as connection:
                connection.execute("set role foresight_fleet")
                assert connection.execute("select count(*) from ml.clients").fetchone() == (3,)
        with psycopg.connect(servers.primary.conninfo("airflow")) as connection:
            assert connection.execute("select slots from slot_pool where pool = 'foresight_replica'").fetchone() == (2,)

        # Secrets that were made anew, beside databases that were made with the earlier ones.
        (secrets / "primary_password").write_text("another\n")
        refused = init(environment)
        assert refused.returncode == 1 and "Traceback" not in refused.stderr
        assert "init: primary refuses the password in secrets/primary_password" in refused.stderr
    finally:
        servers.destroy()


def prepared(servers: Servers, folder: Path) -> tuple[dict[str, str], Path]:
    """The environment of the service on this machine, and the folder of its secrets."""
    (folder / "docker").mkdir()
    shutil.copy(CHECKOUT / "docker" / "new-env", folder / "docker")
    subprocess.run([folder / "docker" / "new-env", "pgml"], check=True, stdout=subprocess.DEVNULL)
    secrets = folder / "secrets"
    (secrets / "primary_password").write_text(servers.primary.password)
    (secrets / "replica_password").write_text(servers.replica.password)
    (folder / "connections").mkdir()
    given = {"FORESIGHT_DEMO": "yes", "FORESIGHT_SECRETS": str(secrets)}
    environment = {
        name: here(value, servers, folder)
        for name, value in interpolated(stated()["services"]["init"]["environment"], given).items()
    }
    environment |= {"AIRFLOW_HOME": str(folder), "HOME": str(folder), "LANG": "C.UTF-8"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return environment, secrets


def init(environment: dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run([CHECKOUT / "docker" / "init"], env=environment, capture_output=True, text=True, check=False)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def here(value: str, servers: Servers, folder: Path) -> str:
    """The same, on this machine."""
    for name, cluster in (("primary", servers.primary), ("metadata", servers.primary), ("replica", servers.replica)):
        port = conninfo_to_dict(cluster.conninfo())["port"]
        value = value.replace(f"@{name}/", f"@127.0.0.1:{port}/")
    value = value.replace("/run/secrets", str(folder / "secrets")).replace("/opt/airflow", str(folder))
    return value.replace("/opt/foresight", str(CHECKOUT))
