"""docker/init as a local process, with the environment that docker-compose.yaml gives it."""

from __future__ import annotations

import json
import os
import secrets
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from launcher.clusters import ensure_database
from launcher.system import CHECKOUT
from tests.support.compose import interpolated, stated, variables
from tests.support.servers import Servers


@pytest.mark.long
def test_init_sets_everything_up_and_can_be_repeated(tmp_path: Path):
    servers = Servers()
    try:
        servers.start()
        text = json.dumps(stated())
        given = {name: secrets.token_hex(24) for name, (kind, _) in variables(text).items() if kind == "?"}
        given |= {
            "FORESIGHT_DEMO": "yes",
            "FORESIGHT_PRIMARY_PASSWORD": servers.primary.password,
            "FORESIGHT_REPLICA_PASSWORD": servers.replica.password,
            "AIRFLOW_FERNET_KEY": "A" * 43 + "=",
        }
        ensure_database(servers.primary, "airflow", owner="airflow", password=given["AIRFLOW_DATABASE_PASSWORD"])
        for cluster in (servers.primary, servers.replica):
            ensure_database(cluster, "platform")
        environment = {
            name: here(value, servers, tmp_path)
            for name, value in interpolated(stated()["services"]["init"]["environment"], given).items()
        }
        environment |= {"AIRFLOW_HOME": str(tmp_path), "HOME": str(tmp_path), "LANG": "C.UTF-8"}
        environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        for _ in range(2):
            done = subprocess.run(
                [CHECKOUT / "docker" / "init"], env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert "3 were there" in done.stdout
        state = tmp_path / "state"
        assert json.loads((state / "passwords.json").read_text()) == {"admin": given["AIRFLOW_ADMIN_PASSWORD"]}
        for name in ("passwords.json", "foresight.env"):
            assert stat.S_IMODE((state / name).stat().st_mode) == 0o600
        for side in ("PRIMARY", "REPLICA"):
            login = json.loads(environment[f"AIRFLOW_CONN_FORESIGHT_{side}"])
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
        airflow = servers.primary.conninfo("airflow")
        with psycopg.connect(airflow) as connection:
            assert connection.execute("select slots from slot_pool where pool = 'foresight_replica'").fetchone() == (2,)
    finally:
        servers.destroy()


def here(value: str, servers: Servers, folder: Path) -> str:
    """The same, on this machine."""
    for name, cluster in (("primary", servers.primary), ("metadata", servers.primary), ("replica", servers.replica)):
        port = conninfo_to_dict(cluster.conninfo())["port"]
        value = value.replace(f"@{name}/", f"@127.0.0.1:{port}/")
        value = value.replace(f'"host": "{name}", "port": 5432', f'"host": "127.0.0.1", "port": {port}')
    return value.replace("/opt/airflow/state", str(folder / "state")).replace("/opt/foresight", str(CHECKOUT))
