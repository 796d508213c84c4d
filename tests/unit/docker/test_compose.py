"""docker-compose.yaml and what stands beside it: no Docker engine is needed to see that they say what they must."""

from __future__ import annotations

import base64
import fnmatch
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from launcher import airflow
from tests.support.compose import FILE, ROOT, interpolated, stated, variables

AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")
# Each service's secrets: files that no other service can read. Every part of Airflow speaks to Airflow's own database.
SECRETS = {
    "primary": {"primary_password"},
    "replica-pgml": {"replica_password"},
    "replica-postgresml": set(),
    "metadata": {"metadata_password"},
    "init": {
        "metadata_password",
        "primary_password",
        "replica_password",
        "app_password",
        "replication_password",
        "further_connections",
    },
    "api-server": {
        "metadata_password",
        "airflow_fernet_key",
        "airflow_jwt_secret",
        "airflow_api_secret",
        "airflow_admin_password",
    },
    "scheduler": {"metadata_password", "airflow_fernet_key", "airflow_jwt_secret"},
    "dag-processor": {"metadata_password", "airflow_fernet_key"},
    "triggerer": {"metadata_password", "airflow_fernet_key"},
}
# What no image may have, though its context is the whole checkout.
PRIVATE = (".env", ".git/config", "secrets/primary_password", ".foresight/instances/x", "tests/conftest.py")


def services() -> dict[str, Any]:
    return stated()["services"]


def mounted(name: str) -> dict[str, str]:
    """By volume, where it is mounted and how."""
    return dict(entry.split(":", 1) for entry in services()[name].get("volumes", []))


def new_env(folder: Path, *words: str, umask: int = 0o022) -> subprocess.CompletedProcess:
    """docker/new-env in a checkout of its own."""
    if shutil.which("openssl") is None:
        pytest.fail("openssl is needed to make secrets (docker/new-env)")
    (folder / "docker").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "docker" / "new-env", folder / "docker")
    return subprocess.run(
        [folder / "docker" / "new-env", *words], capture_output=True, text=True, check=False, umask=umask
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    made = new_env(folder, "pgml")
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="module")
def given(checkout: Path) -> dict[str, str]:
    """The settings of a new .env, as Docker reads them."""
    lines = (checkout / ".env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def secret_files(checkout: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8").strip() for path in (checkout / "secrets").iterdir()}


def test_the_services_are_those_of_the_design():
    assert set(services()) == {"primary", "replica-pgml", "replica-postgresml", "metadata", "init", *AIRFLOW}
    assert services()["replica-pgml"]["profiles"] == ["pgml"]
    assert services()["replica-postgresml"]["profiles"] == ["postgresml"]
    assert services()["replica-postgresml"]["image"] == "ghcr.io/postgresml/postgresml:2.10.0"
    for name in ("replica-pgml", "replica-postgresml"):
        assert services()[name]["networks"]["default"]["aliases"] == ["replica"]
    assert [name for name, one in services().items() if "profiles" in one] == ["replica-pgml", "replica-postgresml"]


def test_each_service_has_the_secrets_that_it_needs():
    assert {name: set(one.get("secrets", ())) for name, one in services().items()} == SECRETS


def test_a_secret_is_named_where_it_is_given():
    """And nowhere else: neither would a service find it, nor may one have what it does not use."""
    scripts = {"init": "init", "api-server": "run"}
    for name, one in services().items():
        text = json.dumps(one.get("environment"))
        if name in scripts:
            text += (ROOT / "docker" / scripts[name]).read_text(encoding="utf-8")
        assert {secret for secret in set().union(*SECRETS.values()) if secret in text} == SECRETS[name], name


def test_no_secret_is_in_the_environment(checkout: Path, given: dict[str, str]):
    """`docker inspect` shows it to everybody who may ask the engine, and a child inherits it."""
    known = set(secret_files(checkout).values())
    text = json.dumps(interpolated(stated(), given))
    assert not [value for value in known if value and value in text]
    assert set(variables(FILE.read_text(encoding="utf-8"))) >= {"FORESIGHT_SECRETS", "FORESIGHT_LISTEN"}
    for name in variables(FILE.read_text(encoding="utf-8")):
        assert not name.endswith(("PASSWORD", "SECRET", "KEY")), name


def test_every_secret_is_a_file_that_new_env_makes(checkout: Path, given: dict[str, str]):
    files = {name: one["file"] for name, one in interpolated(stated()["secrets"], given).items()}
    assert files == {name: f"./secrets/{name}" for name in set().union(*SECRETS.values())}
    assert set(secret_files(checkout)) == set(files)


def test_nothing_starts_without_secrets(given: dict[str, str]):
    with pytest.raises(KeyError, match="FORESIGHT_SECRETS"):
        interpolated(stated(), {name: value for name, value in given.items() if name != "FORESIGHT_SECRETS"})
    assert [name for name, (kind, _) in variables(FILE.read_text()).items() if kind == "?"] == ["FORESIGHT_SECRETS"]


def test_new_secrets_are_new_and_long_enough(checkout: Path):
    made = {name: value for name, value in secret_files(checkout).items() if name != "further_connections"}
    assert min(len(value) for value in made.values()) >= 40
    assert len(set(made.values())) == len(made)
    assert len(base64.urlsafe_b64decode(made["airflow_fernet_key"])) == 32
    assert len(made["airflow_jwt_secret"]) >= 64
    for name, value in made.items():
        assert name == "airflow_fernet_key" or value.isalnum(), f"{name} stands in URLs"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_nobody_else_on_the_machine_reads_what_new_env_makes(tmp_path: Path, umask: int):
    """Whatever the shell's own umask is. Inside its folder a secret is readable: Docker mounts the file alone, and
    services run as users of other numbers."""
    made = new_env(tmp_path, "pgml", umask=umask)
    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()} == {0o644}
    printed = made.stdout + made.stderr
    assert not [value for value in secret_files(tmp_path).values() if value in printed]
    assert {path.name for path in tmp_path.iterdir()} == {"docker", ".env", "secrets"}


@pytest.mark.parametrize("there", [".env", "secrets"])
def test_earlier_secrets_are_never_written_over(tmp_path: Path, there: str):
    """The volumes were made with them."""
    (tmp_path / there).write_text("earlier") if there == ".env" else (tmp_path / there).mkdir()
    refused = new_env(tmp_path, "pgml")
    assert refused.returncode == 1 and f"{there} is there already" in refused.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"docker", there}
    assert there == "secrets" or (tmp_path / there).read_text() == "earlier"


@pytest.mark.parametrize("words", [(), ("redis",)])
def test_the_engine_of_the_replica_is_chosen(tmp_path: Path, words: tuple[str, ...]):
    """Without a profile there is no replica, and init would wait for one in vain."""
    refused = new_env(tmp_path, *words)
    assert refused.returncode == 1 and "docker/new-env postgresml" in refused.stderr
    assert not (tmp_path / ".env").exists()


@pytest.mark.parametrize(("profile", "user", "database"), [("pgml", "postgres", "platform"), ("postgresml",) * 3])
def test_init_reaches_both_databases_as_superuser(tmp_path: Path, profile: str, user: str, database: str):
    assert new_env(tmp_path, profile).returncode == 0
    lines = (tmp_path / ".env").read_text(encoding="utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert given["COMPOSE_PROFILES"] == profile
    environment = interpolated(services()["init"]["environment"], given)
    wanted = {
        "PRIMARY": ("primary", "postgres", "platform"),
        "REPLICA": ("replica", user, database),
        "METADATA": ("metadata", "airflow", "airflow"),
    }
    for name, there in wanted.items():
        place = conninfo_to_dict(environment[f"FORESIGHT_{name}"])
        assert (place["host"], place["user"], place["dbname"]) == there
        assert "password" not in place


def test_nothing_of_the_checkout_is_mounted():
    """It holds .env, secrets/ and .git. Secrets are mounted as single files, everything else is a named volume."""
    named = set(stated()["volumes"])
    for name in services():
        assert mounted(name).keys() <= named, name
    assert set().union(*(mounted(name) for name in services())) == named


def test_connections_are_written_by_init_and_read_by_those_that_ask_the_databases():
    path = "/opt/airflow/connections"
    assert {name: mounted(name)["connections"] for name in services() if "connections" in mounted(name)} == {
        "init": path,
        **dict.fromkeys(("api-server", "scheduler", "dag-processor"), f"{path}:ro"),
    }
    assert Path(stated()["x-environment"]["FORESIGHT_CONNECTIONS"]).parent == Path(path)
    for name in AIRFLOW:
        has = "/opt/foresight/docker/run" in services()[name]["command"]
        assert has == ("connections" in mounted(name)), name


def test_the_triggerer_has_logs_and_no_more():
    assert mounted("triggerer") == {"logs": "/opt/airflow/logs"}


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
def test_the_code_is_in_the_image_and_found(name: str, given: dict[str, str]):
    environment = interpolated(services()[name], given)["environment"]
    assert environment["PYTHONPATH"] == "/opt/foresight"
    assert environment["AIRFLOW__CORE__PLUGINS_FOLDER"] == "/opt/foresight/plugins"
    (bundle,) = json.loads(environment["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert bundle["kwargs"] == {"path": "/opt/foresight"}
    copied = copied_into("airflow")
    assert {".airflowignore", "dags", "include", "plugins", "sql", "launcher", "demo", "docker"} <= copied.keys()
    assert all(copied[source] == f"/opt/foresight/{source}" for source in ("dags", "include", "plugins", "sql"))


@pytest.mark.parametrize("name", ["api-server", "scheduler", "dag-processor"])
def test_the_state_is_shared(name: str):
    where = Path(mounted(name)["state"])
    assert Path(stated()["x-environment"]["FORESIGHT_REGISTRY_SNAPSHOT"]).is_relative_to(where)


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


@pytest.mark.parametrize("name", ["init", "new-env", "run"])
def test_scripts_are_runnable(name: str):
    path = ROOT / "docker" / name
    assert path.stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0


def copied_into(image: str) -> dict[str, str]:
    """What an image takes from the context, and whither."""
    lines = (ROOT / "docker" / f"{image}.Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [line.split() for line in lines if line.startswith("COPY")]
    return dict(words[-2:] for words in copied)


def let_in() -> list[str]:
    """What .dockerignore lets into the context of every image."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*", "first everything is kept out"
    return [pattern[1:] for pattern in patterns if pattern.startswith("!")]


@pytest.mark.parametrize("name", ["airflow", "pgml"])
def test_images_copy_what_is_there(name: str):
    """The context is the whole checkout, with gigabytes of a local run in it."""
    for source in copied_into(name):
        assert (ROOT / source).exists(), source
        assert any(Path(source).is_relative_to(one) or Path(one).is_relative_to(source) for one in let_in()), source


def test_nothing_private_gets_into_an_image():
    for path in PRIVATE:
        assert not [one for one in let_in() if Path(path).is_relative_to(one) or fnmatch.fnmatch(path, one)], path
    for image in ("airflow", "pgml"):
        assert not {".", "./", "*"} & copied_into(image).keys()
    # One list for both images: a builder without BuildKit reads no other.
    assert not list((ROOT / "docker").glob("*.dockerignore"))


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
    refused = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert refused.returncode != 0 and "docker/new-env makes .env" in refused.stderr
