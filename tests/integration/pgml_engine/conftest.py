"""A real server with our pgml. Everything that makes it is in `engine_db`: another server is another `engine_db`."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

CHECKOUT = Path(__file__).parents[3]

SETTINGS = {
    "fsync": "off",
    "listen_addresses": "",
    "shared_buffers": "64MB",
    "client_connection_check_interval": "1s",
    "unix_socket_permissions": "0777",
}


@pytest.fixture(scope="session")
def engine_venv() -> Path:
    """The virtual environment with the locked libraries: the server's, and that of the tests' own fits."""
    place = os.environ.get("FORESIGHT_ENGINE_VENV")
    assert place and Path(place, "bin", "python").exists(), "FORESIGHT_ENGINE_VENV must name the database server's venv"
    return Path(place)


@pytest.fixture(scope="session")
def engine_db(engine_venv: Path) -> Iterator[str]:
    """The connection string of a superuser in a fresh database with pgml."""
    binaries = Path(os.environ.get("FORESIGHT_PG_BIN", "/usr/lib/postgresql/15/bin"))
    owner = os.environ.get("FORESIGHT_OS_USER", "postgres") if os.geteuid() == 0 else None
    as_owner = ["runuser", "-u", owner, "--"] if owner else []
    # A socket's path has at most 107 bytes: not below pytest's own folder.
    folder = Path(tempfile.mkdtemp(prefix="pgml-", dir="/var/tmp"))
    # This checkout's package, ahead of what the venv may hold.
    shutil.copytree(
        CHECKOUT / "include" / "pgml_engine",
        folder / "packages" / "pgml_engine",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
    if owner:
        shutil.chown(folder, owner)
    data = folder / "data"
    environment = [
        "env",
        f"PATH={engine_venv}/bin:/usr/bin:/bin",
        f"PYTHONPATH={folder / 'packages'}",
        "PYTHONDONTWRITEBYTECODE=1",
        "OMP_NUM_THREADS=1",
    ]

    def run(*command: object) -> None:
        words = [*as_owner, *environment, *map(str, command)]
        subprocess.run(words, check=True, cwd=folder, stdout=subprocess.DEVNULL)

    try:
        run(
            binaries / "initdb",
            "-D",
            data,
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )
        with (data / "postgresql.conf").open("a") as configuration:
            for name, value in {**SETTINGS, "unix_socket_directories": str(folder)}.items():
                configuration.write(f"{name} = '{value}'\n")
        run(binaries / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "start")
        try:
            conninfo = make_conninfo(host=str(folder), user="postgres", dbname="postgres")
            with psycopg.connect(conninfo) as connection:
                install(connection)
            yield conninfo
        finally:
            run(binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)


def install(connection: psycopg.Connection) -> None:
    """sql/pgml in order, in the connection's transaction."""
    connection.execute("set client_min_messages = warning")
    for path in sorted((CHECKOUT / "sql" / "pgml").glob("*.sql")):
        connection.execute(path.read_bytes())


@pytest.fixture(scope="session")
def install_pgml() -> Callable[[psycopg.Connection], None]:
    return install


@pytest.fixture
def admin(engine_db: str) -> Iterator[psycopg.Connection]:
    """A superuser's session of its own, each statement its own transaction."""
    with psycopg.connect(engine_db, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def warm(engine_db: str) -> Iterator[psycopg.Connection]:
    """A superuser's session shared by a module's tests: the libraries are imported once."""
    with psycopg.connect(engine_db, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def client(engine_db: str) -> Callable[[int], str]:
    """Make client N: role `foresight_client_N`, and schema `ml_client_N` with a view `rows` of its part of the table
    public.everybody. Returns the role's name."""
    made: set[int] = set()

    def make(number: int) -> str:
        role, schema = f"foresight_client_{number}", f"ml_client_{number}"
        if number not in made:
            with psycopg.connect(engine_db) as connection:
                if not made:
                    connection.execute(EVERYBODY)
                words = {"role": sql.Identifier(role), "schema": sql.Identifier(schema), "id": sql.Literal(number)}
                connection.execute(sql.SQL(CLIENT).format(**words))
            made.add(number)
        return role

    return make


EVERYBODY = """
create table public.everybody (client_id integer, x1 float8, x2 float8, y float8);
select setseed(0.5);
insert into public.everybody
select c, x1, x2, c * x1 + x2 from generate_series(1, 3) as c, generate_series(1, 200) as i,
    lateral (select random() + 0 * i as x1, random() + 0 * i as x2) as r;
alter table public.everybody enable row level security;
"""

CLIENT = """
create role {role} login in role pgml_user;
create policy {role} on public.everybody to {role} using (client_id = {id});
grant select on public.everybody to {role};
create schema {schema} authorization {role};
create view {schema}.rows with (security_invoker = true) as select x1, x2, y from public.everybody;
grant select on {schema}.rows to {role};
"""
