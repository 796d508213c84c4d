"""Airflow connections as libpq takes them: one reading for tasks, pools and the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from include.foresight.errors import ConfigurationError

SCHEMES = ("postgres", "postgresql")
# What Airflow's own hook reads from an extra and does not pass on to the driver.
OF_AIRFLOW = frozenset({"cursor", "sqlalchemy_scheme", "sqlalchemy_query", "aws_conn_id", "azure_conn_id"})
OF_CLOUDS = frozenset({"iam", "redshift", "redshift-serverless", "cluster-identifier", "workgroup-name"})


def conninfo(
    conn_id: str,
    *,
    host: str | None = None,
    port: int | str | None = None,
    login: str | None = None,
    password: str | None = None,
    schema: str | None = None,
    extra: str | Mapping[str, Any] | None = None,
    **_: Any,
) -> str:
    """The conninfo of an Airflow connection, from its fields. Every libpq setting of the extra is in it, and wins over
    the field of its name. Raises ConfigurationError for an extra that names anything else: a misspelt sslmode would
    leave the connection open to be read."""
    from psycopg.conninfo import make_conninfo

    fields = {"host": host, "port": port, "user": login, "password": password, "dbname": schema}
    given = fields | _settings(conn_id, extra)
    return make_conninfo("", **{name: value for name, value in given.items() if value not in (None, "")})


def from_text(conn_id: str, text: str) -> str:
    """The conninfo of an Airflow connection that is written as JSON or as a URI, as in AIRFLOW_CONN_*."""
    if text.lstrip().startswith("{"):
        try:
            return conninfo(**(json.loads(text) | {"conn_id": conn_id}))
        except ValueError:
            raise ConfigurationError(f"connection '{conn_id}': its JSON cannot be read") from None
    return _from_uri(conn_id, text.strip())


def _from_uri(conn_id: str, uri: str) -> str:
    """libpq reads the address (it may name several hosts); the query is Airflow's: a plus is a space in it, and
    `__extra__` holds what a query cannot."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    address, _, query = uri.partition("?")
    scheme, separator, rest = address.partition("://")
    if scheme not in SCHEMES or not separator:
        raise ConfigurationError(f"connection '{conn_id}': neither JSON nor a URI that begins with postgres://")
    extra = dict(parse_qsl(query, keep_blank_values=True))
    extra |= _object(conn_id, extra.pop("__extra__", None))
    try:
        place = conninfo_to_dict(f"postgresql://{rest}")
    except psycopg.Error:  # its message repeats the password
        raise ConfigurationError(f"connection '{conn_id}': libpq cannot read its URI") from None
    return conninfo(conn_id, extra=place | extra)


def _settings(conn_id: str, extra: str | Mapping[str, Any] | None) -> dict[str, Any]:
    from psycopg import pq

    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    found = {}
    for name, value in _object(conn_id, extra).items():
        if name in known:
            found[name] = int(value) if isinstance(value, bool) else value
        elif name in OF_CLOUDS and value:
            raise ConfigurationError(f"connection '{conn_id}': its extra asks for '{name}', which Foresight cannot use")
        elif name not in OF_AIRFLOW | OF_CLOUDS and value is not None:
            raise ConfigurationError(f"connection '{conn_id}': its extra has '{name}', which is no setting of libpq")
    return found


def _object(conn_id: str, extra: str | Mapping[str, Any] | None) -> Mapping[str, Any]:
    """An extra, which Airflow takes as an object and as the text of one."""
    if isinstance(extra, str):
        try:
            extra = json.loads(extra.strip() or "{}")
        except ValueError:
            raise ConfigurationError(f"connection '{conn_id}': its extra is no JSON") from None
    if not extra:
        return {}
    if not isinstance(extra, Mapping):
        raise ConfigurationError(f"connection '{conn_id}': its extra must be a JSON object")
    return extra
