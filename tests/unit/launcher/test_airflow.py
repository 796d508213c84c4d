from __future__ import annotations

import json
from pathlib import Path

import pytest

from launcher import airflow
from launcher import instance as instances
from launcher.instance import Instance


@pytest.fixture
def instance():
    return Instance(
        folder=Path("/srv/foresight/instances/demo"),
        ports={name: 21000 + index for index, name in enumerate(instances.PORTS)},
        secrets=instances.generated_secrets() | {"app": "p@ss'w:ord/%", "airflow_database": "a@b/c%d"},
    )


def test_both_connections_carry_the_options_for_both_drivers(instance):
    settings = airflow.settings(instance)
    for name, port in (("PRIMARY", 21000), ("REPLICA", 21001)):
        connection = json.loads(settings[f"AIRFLOW_CONN_FORESIGHT_{name}"])
        assert (connection["host"], connection["port"]) == ("127.0.0.1", port)
        assert (connection["login"], connection["password"]) == ("foresight_app", "p@ss'w:ord/%")
        options = connection["extra"]["options"]
        assert options == connection["extra"]["sqlalchemy_query"]["options"]
        for wanted in ("client_connection_check_interval=", "statement_timeout=", "application_name=airflow"):
            assert f"-c {wanted}" in options


def test_a_password_with_special_characters_survives_the_url(instance):
    from sqlalchemy.engine import make_url

    url = make_url(airflow.metadata_url(instance))
    assert (url.password, url.port, url.database, url.drivername) == ("a@b/c%d", 21002, "airflow", "postgresql+psycopg")


def test_nothing_listens_on_other_addresses_than_the_local_one(instance):
    settings = airflow.settings(instance)
    assert settings["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert settings["AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST"] == "127.0.0.1"
    # The log servers have no setting for their address.
    assert "--skip-serve-logs" in airflow.SERVICES["scheduler"]
    assert "--skip-serve-logs" in airflow.SERVICES["triggerer"]


def test_every_port_of_airflow_is_the_instances_own(instance):
    own = {str(port) for port in instance.ports.values()}
    ports = {name: value for name, value in airflow.settings(instance).items() if name.endswith("_PORT")}
    assert ports and set(ports.values()) <= own


def test_the_bundle_and_the_path_are_the_checkout(instance, tmp_path):
    settings = airflow.settings(instance, checkout=tmp_path)
    bundle = json.loads(settings["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])[0]
    assert bundle["kwargs"] == {"path": str(tmp_path)}
    assert settings["PYTHONPATH"] == str(tmp_path)
    assert settings["AIRFLOW__CORE__PLUGINS_FOLDER"] == str(tmp_path / "plugins")


def test_another_airflow_of_the_user_does_not_reach_in(instance, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL", "redis://elsewhere")
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ssl/mine.pem")
    environment = airflow.environment(instance)
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert not {"AIRFLOW__CELERY__BROKER_URL", "PGHOST"} & set(environment)
    assert environment["SSL_CERT_FILE"] == "/etc/ssl/mine.pem"


def test_the_dag_files_read_the_instances_own_registry(instance):
    assert airflow.settings(instance)["FORESIGHT_REGISTRY_SNAPSHOT"] == str(instance.snapshot)


def test_a_new_row_can_be_a_dag_within_two_minutes(instance):
    """A minute until `sync_clients` has it in the snapshot; a parse and the time for both is not a setting."""
    settings = airflow.settings(instance)
    assert 60 + int(settings["AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL"]) <= 90


def test_alert_connections_of_the_user_are_passed_on_but_ours_stay_ours(instance, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_FORESIGHT_SMTP", "smtp://mail.example:25")
    monkeypatch.setenv("AIRFLOW_CONN_FORESIGHT_WEBHOOK", "http://hooks.example")
    monkeypatch.setenv("AIRFLOW_CONN_FORESIGHT_PRIMARY", "postgres://elsewhere")
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", "postgres://elsewhere")
    environment = airflow.environment(instance)
    assert environment["AIRFLOW_CONN_FORESIGHT_SMTP"] == "smtp://mail.example:25"
    assert environment["AIRFLOW_CONN_FORESIGHT_WEBHOOK"] == "http://hooks.example"
    assert json.loads(environment["AIRFLOW_CONN_FORESIGHT_PRIMARY"])["host"] == "127.0.0.1"
    assert "AIRFLOW_CONN_OTHER" not in environment


def test_every_setting_is_one_that_this_airflow_knows(instance):
    from tests.support import airflow_home  # noqa: F401  # else importing Airflow makes a folder in the user's home

    from airflow.configuration import conf  # isort: skip

    for name in airflow.settings(instance):
        if name.startswith("AIRFLOW__"):
            section, option = name.removeprefix("AIRFLOW__").lower().split("__")
            assert option in conf.configuration_description[section]["options"], f"[{section}] {option}"


@pytest.mark.parametrize(("cores", "tasks"), [(1, 2), (2, 4), (8, 16), (64, 32)])
def test_the_executor_is_sized_to_the_machine(cores, tasks):
    assert airflow.parallelism(cores) == tasks
