"""docker-compose.yaml: no Docker engine is needed to see that it says what it must."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from launcher import airflow
from tests.support.compose import FILE, ROOT, interpolated, stated, variables

AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")
SUPERUSERS = {"FORESIGHT_PRIMARY_PASSWORD", "FORESIGHT_REPLICA_PASSWORD"}


def services() -> dict[str, Any]:
    return stated()["services"]


def used(value: Any) -> set[str]:
    return set(variables(json.dumps(value)))


@pytest.fixture(scope="module")
def given() -> dict[str, str]:
    """What docker/new-env prints, as Docker reads it."""
    if shutil.which("openssl") is None:
        pytest.fail("openssl is needed to make secrets (docker/new-env)")
    done = subprocess.run([ROOT / "docker" / "new-env"], capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_the_services_are_those_of_the_design():
    assert set(services()) == {"primary", "replica-pgml", "replica-postgresml", "metadata", "init", *AIRFLOW}
    assert services()["replica-pgml"]["profiles"] == ["pgml"]
    assert services()["replica-postgresml"]["profiles"] == ["postgresml"]
    assert services()["replica-postgresml"]["image"] == "ghcr.io/postgresml/postgresml:2.10.0"
    for name in ("replica-pgml", "replica-postgresml"):
        assert services()[name]["networks"]["default"]["aliases"] == ["replica"]
    assert [name for name, one in services().items() if "profiles" in one] == ["replica-pgml", "replica-postgresml"]


def test_no_secret_has_a_default():
    """A password that everybody can read in this file is none."""
    for name, (kind, rest) in variables(FILE.read_text(encoding="utf-8")).items():
        is_secret = name.endswith(("PASSWORD", "SECRET", "KEY"))
        assert (kind == "?") == is_secret, name
        if is_secret:
            assert len(rest) > 10, f"{name}: says why it is needed"
    for name, one in services().items():
        for key, value in one.get("environment", {}).items():
            if key.endswith(("PASSWORD", "SECRET", "KEY")):
                assert str(value).startswith("${"), f"{name}.{key}"


def test_every_secret_is_asked_for(given: dict[str, str]):
    required = {name for name, (kind, _) in variables(FILE.read_text(encoding="utf-8")).items() if kind == "?"}
    assert set(given) == required
    assert interpolated(stated(), given)
    for name in required:
        with pytest.raises(KeyError, match=name):
            interpolated(stated(), {other: value for other, value in given.items() if other != name})


def test_new_secrets_are_new_and_long_enough(given: dict[str, str]):
    assert min(len(value) for value in given.values()) >= 40
    assert len(set(given.values())) == len(given)
    assert len(base64.urlsafe_b64decode(given["AIRFLOW_FERNET_KEY"])) == 32
    assert len(given["AIRFLOW_JWT_SECRET"]) >= 64
    for name, value in given.items():
        assert name == "AIRFLOW_FERNET_KEY" or value.isalnum(), f"{name} stands in URLs and in JSON"


def test_superusers_are_known_to_their_server_and_to_init_only():
    knows = {name: used(one) & SUPERUSERS for name, one in services().items()}
    assert {name: found for name, found in knows.items() if found} == {
        "primary": {"FORESIGHT_PRIMARY_PASSWORD"},
        "replica-pgml": {"FORESIGHT_REPLICA_PASSWORD"},
        "init": SUPERUSERS,
    }


def test_airflow_waits_for_init_and_init_for_its_databases():
    for name in AIRFLOW:
        assert services()[name]["depends_on"] == {
            "metadata": {"condition": "service_healthy"},
            "init": {"condition": "service_completed_successfully"},
        }
    init = services()["init"]
    assert init["restart"] == "no"
    assert init["depends_on"] == {name: {"condition": "service_healthy"} for name in ("primary", "metadata")}
    # One that is not started would keep everything from starting: the profiles' services are waited for by the script.
    assert "FORESIGHT_REPLICA" in (ROOT / "docker" / "init").read_text(encoding="utf-8")


def test_every_server_tells_whether_it_is_well():
    assert {name for name, one in services().items() if "healthcheck" not in one} == {"init"}
    for name, one in services().items():
        if name != "init":
            assert {"test", "interval", "timeout", "retries"} <= one["healthcheck"].keys(), name
            assert one["restart"] == "unless-stopped", name


def test_only_the_ui_is_reached_from_outside():
    assert {name: one["ports"] for name, one in services().items() if "ports" in one} == {
        "api-server": ["${FORESIGHT_LISTEN:-127.0.0.1:8080}:8080"]
    }


@pytest.mark.parametrize("name", [*AIRFLOW, "init"])
def test_the_project_is_mounted_for_reading_and_found(name: str, given: dict[str, str]):
    one = interpolated(services()[name], given)
    variables = one["environment"]
    assert ".:/opt/foresight:ro" in one["volumes"]
    assert variables["PYTHONPATH"] == "/opt/foresight"
    assert variables["AIRFLOW__CORE__PLUGINS_FOLDER"] == "/opt/foresight/plugins"
    (bundle,) = json.loads(variables["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert bundle["kwargs"] == {"path": "/opt/foresight"}
    shared = [entry.split(":")[1] for entry in one["volumes"] if entry.startswith("state:")]
    assert Path(variables["FORESIGHT_REGISTRY_SNAPSHOT"]).is_relative_to(shared[0])


def test_the_settings_are_those_of_a_local_run(given: dict[str, str], tmp_path: Path):
    """What the launcher sets for a reason holds in containers too, where it is not of one machine."""
    from launcher.instance import PORTS, Instance, generated_secrets

    ports = dict.fromkeys(PORTS, 1)
    local = airflow.settings(Instance(tmp_path, ports, generated_secrets()))
    here = interpolated(services()["scheduler"]["environment"], given)
    for name in (
        "AIRFLOW__CORE__EXECUTOR",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL",
    ):
        assert here[name] == local[name], name
    for name in ("AIRFLOW_CONN_FORESIGHT_PRIMARY", "AIRFLOW_CONN_FORESIGHT_REPLICA"):
        ours, theirs = json.loads(here[name]), json.loads(local[name])
        assert ours.keys() == theirs.keys()
        assert ours["extra"] == theirs["extra"]
        assert (ours["login"], ours["password"]) == ("foresight_app", given["FORESIGHT_APP_PASSWORD"])
        assert ours["host"] in {"primary", "replica"}


def test_init_reaches_both_databases_as_superuser(given: dict[str, str]):
    variables = interpolated(services()["init"]["environment"], given)
    for name in ("primary", "replica"):
        place = conninfo_to_dict(variables[f"FORESIGHT_{name.upper()}"])
        assert (place["host"], place["user"], place["dbname"]) == (name, "postgres", "platform")
        assert place["password"] == given[f"FORESIGHT_{name.upper()}_PASSWORD"]


def test_volumes_are_declared():
    named = {
        entry.split(":")[0] for one in services().values() for entry in one.get("volumes", []) if entry[0] not in "./"
    }
    assert named == set(stated()["volumes"])


@pytest.mark.parametrize("name", ["init", "new-env"])
def test_scripts_are_runnable(name: str):
    path = ROOT / "docker" / name
    assert path.stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0


@pytest.mark.parametrize("name", ["airflow", "pgml"])
def test_images_copy_what_is_there_and_ignore_the_rest(name: str):
    """The context is the whole checkout, with gigabytes of a local run in it."""
    text = (ROOT / "docker" / f"{name}.Dockerfile").read_text(encoding="utf-8")
    let_in = (ROOT / "docker" / f"{name}.Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    copied = [line.split()[1] for line in text.splitlines() if line.startswith("COPY")]
    assert let_in[0] == "*"
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(Path(source).is_relative_to(one[1:]) for one in let_in if one.startswith("!")), source


def test_the_images_are_of_the_locked_versions():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    version = next(line.split("==")[1].split()[0] for line in lock.splitlines() if line.startswith("apache-airflow=="))
    assert f"FROM apache/airflow:slim-{version}-python3.11" in (ROOT / "docker" / "airflow.Dockerfile").read_text()
    assert stated()["x-airflow"]["image"] == f"foresight-airflow:{version}"


@pytest.mark.skipif(
    shutil.which("docker-compose") is None, reason="docker-compose is not installed: it needs no daemon for this"
)
def test_docker_compose_accepts_the_file(given: dict[str, str]):
    command = ["docker-compose", "-f", str(FILE), "config", "-q"]
    environment = {"PATH": os.environ["PATH"]}
    assert subprocess.run(command, env=environment | given, check=False).returncode == 0
    assert subprocess.run(command, env=environment, check=False, capture_output=True).returncode != 0
