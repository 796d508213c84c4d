"""What is defined in a database and on its server, to be compared before and after."""

from __future__ import annotations

import subprocess

import psycopg
from psycopg.conninfo import conninfo_to_dict

from launcher.system import postgres_bin


def dump(conninfo: str, *arguments: str) -> list[str]:
    """The definitions in a database, sorted: pg_dump puts a table earlier once a view of ours depends on it."""
    place = conninfo_to_dict(conninfo)
    words = [
        *(postgres_bin() / "pg_dump", "--schema-only", *arguments),
        *("--host", place["host"], "--port", place["port"], "--username", place["user"], "--dbname", place["dbname"]),
    ]
    done = subprocess.run(
        [str(word) for word in words],
        env={"PGPASSWORD": str(place["password"])},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]
    return sorted("\n".join(lines).split("\n--\n-- Name: "))


def roles(conninfo: str) -> list[tuple]:
    """The roles of a server: what each may, whom it is a member of, its settings."""
    with psycopg.connect(conninfo) as connection:
        return connection.execute(
            "select r.*, s.setconfig,"
            " array(select roleid::regrole::text from pg_auth_members where member = r.oid order by 1)"
            " from pg_roles as r left join pg_db_role_setting as s on s.setrole = r.oid order by r.rolname"
        ).fetchall()


def run_script(conninfo: str, path) -> None:
    """As an administrator does: psql, statement by statement, to the first error."""
    place = conninfo_to_dict(conninfo)
    subprocess.run(
        [str(postgres_bin() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(path)],
        env={
            "PGHOST": place["host"],
            "PGPORT": str(place["port"]),
            "PGUSER": place["user"],
            "PGPASSWORD": place["password"],
            "PGDATABASE": place["dbname"],
        },
        stdout=subprocess.DEVNULL,
        check=True,
    )
