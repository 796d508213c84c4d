"""Plays the delivery-analytics platform that Foresight reads: its tables, data to fill them, and its ETL at work.

Nothing here knows Foresight. `load_generated` fills the platform with three generated clients, `load_exports` with what
`read_exports` has found in a folder; `demo.etl` goes on writing as the platform would.
"""

from __future__ import annotations

from datetime import UTC, datetime

from demo.exports import load_exports
from demo.exports import read as read_exports
from demo.generator import PROFILES, generate
from demo.sheets import ExportError
from demo.tables import LoadedClient, PlatformNotEmpty, load, utc
from demo.tables import create as create_platform

__all__ = [
    "ExportError",
    "LoadedClient",
    "PlatformNotEmpty",
    "create_platform",
    "load_exports",
    "load_generated",
    "read_exports",
]


def load_generated(dsn: str, *, seed: int = 0, end: datetime | None = None) -> list[LoadedClient]:
    """Fill the platform's empty tables with three generated clients; takes seconds.

    Their history of 24 months goes up to `end`, which is the start of this hour unless given. `dsn` is a conninfo of
    the role that owns the tables.
    """
    end = utc(end or datetime.now(UTC).replace(minute=0, second=0)).replace(microsecond=0)
    generated = generate(seed=seed, end=end)
    return load(dsn, generated.tables, dict.fromkeys(range(1, len(PROFILES) + 1), end))
