"""An empty database of the platform's own role, on the server that `primary_superuser_dsn` leads to."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

import demo


@pytest.fixture
def platform_dsn(primary_superuser_dsn: str) -> Iterator[str]:
    """The platform's tables, without rows; the login is neither superuser nor anything else."""
    name, password = f"platform_{uuid4().hex[:8]}", uuid4().hex
    with psycopg.connect(primary_superuser_dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create role {} login password {}").format(sql.Identifier(name), sql.Literal(password))
        )
        connection.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(name), sql.Identifier(name)))
        dsn = make_conninfo(primary_superuser_dsn, dbname=name, user=name, password=password)
        demo.create_platform(dsn)
        try:
            yield dsn
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))
