"""The platform's rows as they stood at earlier moments, from what they have come to.

`keep` sets a loaded history aside; `show` puts back, step by step, what the platform held at a moment: nothing that
began later, nothing finished that ended later, nothing counted that was counted later. What the platform keeps no
history of (texts, points, sizes) is as it is at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg

from demo.tables import statement


def keep(dsn: str) -> None:
    """Set every client's history aside and leave its tables empty, as the role that owns them."""
    with psycopg.connect(dsn) as connection:
        connection.execute(statement("history_keep"))


@dataclass
class Client:
    """One client's history, shown up to `shown`; moments must not go back."""

    dsn: str
    id: int
    shown: datetime = datetime.min

    def span(self) -> tuple[datetime, datetime]:
        """When its first issue or pull request came up, and the last moment of which anything is known."""
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(statement("history_span"), {"client_id": self.id}).fetchone()

    def show(self, moment: datetime) -> None:
        if moment < self.shown:
            raise ValueError(f"client {self.id} is shown as of {self.shown} already, and {moment} is before that")
        values = {"client_id": self.id, "after": self.shown, "moment": moment}
        with psycopg.connect(self.dsn) as connection:
            # Several statements with values: the driver has to quote them into the text.
            psycopg.ClientCursor(connection).execute(statement("history_show"), values)
        self.shown = moment
