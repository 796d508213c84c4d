"""PostgresML for tests: a stand-in with its owners, grants and signatures, since no registry has it."""

from __future__ import annotations

from pathlib import Path

import psycopg

from include.foresight import inspection

STAND_IN = Path(__file__).with_suffix(".sql")


def stand_in(replica: str) -> None:
    """Put the stand-in into a database, as a superuser."""
    with psycopg.connect(replica) as connection:
        connection.execute(STAND_IN.read_text(encoding="utf-8"))


def is_there(replica: str) -> bool:
    with psycopg.connect(replica) as connection:
        return inspection.look("replica", connection).engine_name == "postgresml"
