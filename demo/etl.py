"""The platform's ETL at work: one day of small transactions, over some seconds, and then it is over.

The day brings open issues that nobody has estimated, open pull requests, status changes of open issues and heartbeats
of the sync jobs, at the time that it really is. Nothing is completed, estimated or merged on it: no label changes.
"""

from __future__ import annotations

import argparse
import random
import time

import psycopg
from psycopg.rows import dict_row

from demo.tables import statement

# What happens on a day, how often, and which integration reports it.
EVENTS = {
    "day_issue": (3, "jira"),
    "day_move": (3, "jira"),
    "day_pull_request": (2, "github"),
    "day_heartbeat": (2, None),
}


def run(dsn: str, *, seed: int = 0, lasting: float = 20.0, transactions: int = 100) -> int:
    """Live the day, over `lasting` seconds; how many transactions it took.

    0 when the day is over already or another session is living it. A day that was broken off is taken up again: what
    has happened on it does not happen twice, for every event has an external id of its own.
    """
    with psycopg.connect(dsn, autocommit=True, row_factory=dict_row) as connection:
        if not connection.execute(statement("day_lock")).fetchone()["pg_try_advisory_lock"]:
            return 0
        day = connection.execute(statement("day_begin")).fetchone()
        if day is None or day["status"] == "FINISHED":
            return 0
        clients = connection.execute(statement("day_sources")).fetchall()
        chance, began = random.Random(seed), time.monotonic()
        weights = [weight for weight, _ in EVENTS.values()]
        for number in range(transactions):
            time.sleep(max(0.0, began + lasting * number / transactions - time.monotonic()))
            client = chance.choice(clients)
            event = chance.choices(list(EVENTS), weights)[0]
            _, source = EVENTS[event]
            connection.execute(
                statement(event),
                {
                    "client_id": client["client_id"],
                    "integration_id": client[source] if source else None,
                    "external_id": f"day-{number}",
                    "pick": chance.randrange(10_000),
                },
            )
        connection.execute(statement("day_end"))
        return transactions


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.etl", description=__doc__)
    parser.add_argument("--dsn", default="", help="conninfo of the platform's role; libpq's environment unless given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the day lasts")
    parser.add_argument("--transactions", type=int, default=100, help="how many there are on it")
    arguments = parser.parse_args()
    written = run(arguments.dsn, seed=arguments.seed, lasting=arguments.seconds, transactions=arguments.transactions)
    print(f"{written} transactions" if written else "The day is over already, or somebody else is at it.")


if __name__ == "__main__":
    main()
