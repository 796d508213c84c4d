"""Airflow connections as libpq takes them."""

from __future__ import annotations

import tests.support.airflow_home  # noqa: F401  isort: skip

import json

import pytest
from psycopg.conninfo import conninfo_to_dict

from include.foresight import connections
from include.foresight.errors import ConfigurationError
from launcher import attach

FIELDS = {"host": "db.example", "port": 5433, "login": "ann", "password": "p@ss word/%'\\", "schema": "platform"}
SETTINGS = {
    "sslmode": "verify-full",
    "sslrootcert": "/etc/ssl/our ca.pem",
    "options": "-c statement_timeout=3600s -c application_name=airflow",
    "connect_timeout": 10,
    "target_session_attrs": "read-write",
    "keepalives": True,
}
OF_AIRFLOW = {"cursor": "dictcursor", "sqlalchemy_query": {"sslmode": "require"}, "iam": False}
WANTED = {
    "host": "db.example",
    "port": "5433",
    "user": "ann",
    "password": "p@ss word/%'\\",
    "dbname": "platform",
    "sslmode": "verify-full",
    "sslrootcert": "/etc/ssl/our ca.pem",
    "options": "-c statement_timeout=3600s -c application_name=airflow",
    "connect_timeout": "10",
    "target_session_attrs": "read-write",
    "keepalives": "1",
}


def read(text: str) -> dict[str, str]:
    return {name: str(value) for name, value in conninfo_to_dict(connections.from_text("x", text)).items()}


@pytest.mark.parametrize("extra", [SETTINGS | OF_AIRFLOW, json.dumps(SETTINGS | OF_AIRFLOW)], ids=["object", "text"])
def test_every_setting_of_libpq_is_kept(extra: dict | str):
    """Airflow takes an extra as an object and as text; what is Airflow's own is no setting of libpq's."""
    stated = {"conn_type": "postgres", "description": "ours"} | FIELDS | {"extra": extra}
    assert read(json.dumps(stated)) == WANTED
    assert conninfo_to_dict(connections.conninfo("x", extra=extra)) == {name: WANTED[name] for name in SETTINGS}


def test_what_airflow_makes_of_a_connection_as_a_uri():
    """Airflow writes settings as a query where they are all text, else as one JSON text in it."""
    from airflow.sdk import Connection

    for settings in (SETTINGS, {name: str(value) for name, value in SETTINGS.items() if name != "keepalives"}):
        uri = Connection(conn_id="x", conn_type="postgres", **FIELDS, extra=json.dumps(settings)).get_uri()
        assert ("__extra__" in uri) == (settings is SETTINGS)
        assert read(uri) == {name: value for name, value in WANTED.items() if name in settings or name not in SETTINGS}


def test_addresses_of_libpq():
    assert read("postgresql://ann@one.example:1,two.example:2/platform?target_session_attrs=any") == {
        "user": "ann",
        "host": "one.example,two.example",
        "port": "1,2",
        "dbname": "platform",
        "target_session_attrs": "any",
    }
    assert read("postgres://ann@%2Fvar%2Frun/platform")["host"] == "/var/run"
    assert read("postgres://") == {}


@pytest.mark.parametrize("extra", [None, "", " ", {}, "{}"])
def test_no_extra(extra: str | dict | None):
    assert "sslmode" not in connections.conninfo("x", **FIELDS, extra=extra)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"host": "secret"', "its JSON cannot be read"),
        ('{"extra": "secret"}', "its extra is no JSON"),
        ('{"extra": "[1]"}', "must be a JSON object"),
        ('{"extra": {"sslmod": "verify-full"}}', "'sslmod', which is no setting of libpq"),
        ('{"extra": {"iam": true}}', "'iam', which Foresight cannot use"),
        ("mysql://secret@db.example/platform", "neither JSON nor a URI"),
        ("secret", "neither JSON nor a URI"),
        ("postgres://ann:%zzsecret@db.example/platform", "libpq cannot read its URI"),
    ],
)
def test_a_connection_that_cannot_be_read_is_refused_in_words(text: str, said: str):
    """A misspelt setting must not leave the connection less safe than it was meant; a password is not repeated."""
    with pytest.raises(ConfigurationError, match="connection 'x': ") as refused:
        connections.from_text("x", text)
    assert said in str(refused.value) and "secret" not in str(refused.value)


def test_attach_writes_every_setting_of_the_server_and_none_of_the_administrators():
    dsn = (
        "host=one.example,two.example port=1,2 dbname=platform user=root password=secret sslcert=/root/me.crt"
        " options='-c role=admin' sslmode=verify-full sslrootcert=/ca.pem sslcrl=/crl.pem target_session_attrs=primary"
    )
    written = read(attach.connection(dsn, "it's"))
    assert written.pop("options") == attach.CONNECTION_OPTIONS
    assert written == {
        "host": "one.example,two.example",
        "port": "1,2",
        "dbname": "platform",
        "user": "foresight_app",
        "password": "it's",
        "sslmode": "verify-full",
        "sslrootcert": "/ca.pem",
        "sslcrl": "/crl.pem",
        "target_session_attrs": "primary",
        "connect_timeout": "10",
    }
    assert json.loads(attach.connection("host=db.example port=1", "x"))["port"] == 1
