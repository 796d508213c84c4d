"""The platform's database: its tables, and how rows get into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
from psycopg import sql

# Characters that mean something to COPY's text format.
ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
NULL = "\\N"


@dataclass(frozen=True)
class LoadedClient:
    """One client that was loaded: its id in `clients`, its rows per table, and its clock.

    `last_timestamp` is UTC without a zone, like the platform's columns: the moment up to which the client's data goes.
    """

    id: int
    name: str
    rows: Mapping[str, int]
    last_timestamp: datetime


class PlatformNotEmpty(Exception):
    """The platform's database already has clients; data is loaded into an empty one only."""


@cache
def statement(name: str) -> str:
    """The text of demo/statements/<name>.sql."""
    return (Path(__file__).parent / "statements" / f"{name}.sql").read_text(encoding="utf-8")


def create(dsn: str) -> None:
    """Make the platform's tables, as the role that the conninfo names, in an empty schema public."""
    script = (Path(__file__).parent / "platform.sql").read_text(encoding="utf-8")
    with psycopg.connect(dsn) as connection:
        connection.execute(script)


def load(dsn: str, tables: Mapping[str, pd.DataFrame], clocks: Mapping[int, datetime]) -> list[LoadedClient]:
    """Copy the frames into the platform's empty tables, in one transaction.

    A frame's columns are columns of its table; those it lacks take the table's default. `clocks` has the last
    timestamp of every client id in `tables["clients"]`.
    """
    with psycopg.connect(dsn) as connection:
        found = connection.execute(statement("count_clients")).fetchone()
        if found and found[0]:
            raise PlatformNotEmpty(f"The platform's database already has {found[0]} clients; load into an empty one.")
        for name, frame in tables.items():
            copy(connection, name, frame)
    counts = {
        name: frame["client_id"].value_counts().to_dict() for name, frame in tables.items() if "client_id" in frame
    }
    return [
        LoadedClient(
            id=client.id,
            name=client.name,
            rows={name: count[client.id] for name, count in counts.items() if client.id in count},
            last_timestamp=clocks[client.id],
        )
        for client in tables["clients"][["id", "name"]].astype(object).itertuples(index=False)
    ]


def copy(connection: psycopg.Connection, name: str, frame: pd.DataFrame) -> None:
    """COPY one frame into its table and move the table's id sequence behind it."""
    if frame.empty:
        return
    columns = sql.SQL(", ").join(map(sql.Identifier, frame.columns))
    table = sql.Identifier("public", name)
    with connection.cursor() as cursor:
        with cursor.copy(sql.SQL(statement("copy_in")).format(table=table, columns=columns)) as rows:
            rows.write(encoded(frame))
        if "id" in frame:
            cursor.execute(sql.SQL(statement("advance_sequence")).format(table=table), {"table": f"public.{name}"})


def encoded(frame: pd.DataFrame) -> str:
    """The rows in COPY's text format."""
    columns = [as_text(frame[name]) for name in frame.columns]
    return "\n".join(map("\t".join, zip(*columns, strict=True))) + "\n"


def as_text(column: pd.Series) -> list[str]:
    missing = column.isna().to_numpy()
    if column.dtype.kind == "M":
        values = np.datetime_as_string(column.to_numpy("datetime64[us]")).tolist()
    elif column.dtype.kind in "iufb":
        values = list(map(str, column.tolist()))
    else:
        return [NULL if gone else str(value).translate(ESCAPED) for value, gone in zip(column, missing, strict=True)]
    return [NULL if gone else value for value, gone in zip(values, missing, strict=True)] if missing.any() else values


def utc(moment: datetime) -> datetime:
    """The moment in UTC without a zone; one without a zone is taken for UTC."""
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
