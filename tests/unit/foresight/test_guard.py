from __future__ import annotations

import pytest

from include.foresight.database import Databases
from include.foresight.guard import Guard
from include.foresight.sql import statement


class Server:
    """A session's server process, as far as a guard knows it."""

    @staticmethod
    def backend() -> int:
        return 4711


def test_a_guard_that_is_left_in_time_asks_no_server():
    def connect(conn_id: str) -> None:
        pytest.fail("nothing has taken too long")

    with Guard(Databases(connect), "foresight_replica", Server, statement("guard/terminate"), 60) as one:
        assert one._thread.is_alive()
    one._thread.join(5)
    assert not one.signalled and not one._thread.is_alive()
