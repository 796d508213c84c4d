"""A look at everything from outside: `./foresight watchdog`, a process that needs no part of Airflow to be alive.

What tells of failures inside Airflow (callbacks, the listener, the DAG `health`) is silent when the scheduler is dead,
a worker was killed or a training hangs. This process asks Airflow's own health endpoint how its components are, and the
primary which nights never began or do not end, and sends the same alerts, once a day for each trouble, and whatever
waits in the outbox. It knows channels and paused DAGs from Airflow's database, as it last could be read.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence, Sized

import httpx

from include.foresight import health
from include.foresight.alerts import Alert, one_line
from include.foresight.database import Databases, is_away, message

log = logging.getLogger(__name__)

# What Airflow's endpoint tells of. The triggerer is one: a night that waits for its replica is deferred to it.
COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
# No night takes so long; Airflow itself ends a run that does, if it is alive.
HUNG_MINUTES = 180
ASK_SECONDS = 10.0


def look(databases: Databases, url: str, paused: Callable[[str], bool] = lambda dag_id: False) -> list[Alert]:
    """Every trouble there is. `url`: where Airflow's API server answers. `paused`: whether a DAG is, by its id."""
    found = components(url)
    checks: dict[str, Callable[[], list[Alert]]] = {
        "missed_runs": lambda: health.missed_runs(databases, paused=paused),
        "hung_runs": lambda: hung_runs(databases),
        "model_troubles": lambda: health.model_troubles(databases),
    }
    for name, check in checks.items():
        try:
            found += check()
        except Exception as error:
            # Of a primary that is away the first message that cannot be recorded tells.
            found.append(unseen(name, error))
    return found


def components(url: str) -> list[Alert]:
    """Parts of Airflow that are not well, by its own word; or that it does not say a word."""
    try:
        answer = httpx.get(f"{url.rstrip('/')}/api/v2/monitor/health", timeout=ASK_SECONDS)
        answer.raise_for_status()
        state = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        return [_component("API server", f"{url} does not answer as it should ({type(error).__name__}: {error})")]
    found = []
    for name in COMPONENTS:
        one = state.get(name) or {}
        if one.get("status") != "healthy":
            last = one.get(f"latest_{name}_heartbeat")
            since = f"its last heartbeat was {last}" if last else "it has no heartbeat"
            found.append(_component(name.replace("_", " "), f"Airflow says '{one.get('status')}'; {since}"))
    return found


def hung_runs(databases: Databases) -> list[Alert]:
    """Nights that have not ended for hours."""
    with databases.primary() as session, session.as_fleet() as fleet:
        rows = fleet.all("health/unfinished_runs", {"minutes": HUNG_MINUTES})
    return [
        Alert(
            row["slug"],
            f"hung_run:{row['dag_run_id']}",
            one_line(f"Foresight: the nightly of {row['name']} does not end"),
            f"Run {row['dag_run_id']} began at {row['started_at']:%Y-%m-%d %H:%M %Z} and is neither done nor failed. "
            "Its worker may have been killed, or a query hangs on the replica. The next prepare closes it.",
        )
        for row in rows
    ]


def unseen(what: str, error: Exception) -> Alert:
    why = "the primary does not answer" if is_away(error) else type(error).__name__
    return Alert(
        None,
        f"watchdog:{what}:{health.today()}",
        f"Foresight: the watchdog cannot see {what.replace('_', ' ')}",
        f"{why}: {message(error)}",
    )


def _component(name: str, what: str) -> Alert:
    return Alert(
        None,
        f"component:{name}:{health.today()}",
        f"Foresight: Airflow's {name} is not well",
        f"{what}. While it is so nights may not run, and nothing inside Airflow tells of it. ./foresight status and "
        "./foresight logs say more; predictions on request go on.",
    )


def guard(
    find: Callable[[], Sequence[Alert]],
    send: Callable[[Sequence[Alert]], Sized],
    *,
    every: float = 60.0,
    rounds: int | None = None,
    patience: int = 2,
) -> int:
    """Look again and again, and report what was there `patience` times in a row: a restart is no trouble. Each round
    also sends what waits in the outbox. Returns how many messages were sent."""
    seen: dict[tuple[str | None, str], int] = {}
    sent = done = 0
    while rounds is None or done < rounds:
        if done:
            time.sleep(every)
        troubles = {alert.key: alert for alert in find()}
        seen = {key: seen.get(key, 0) + 1 for key in troubles}
        sent += len(send([alert for key, alert in troubles.items() if seen[key] >= patience]))
        done += 1
    return sent


def main() -> None:
    """With the environment of an Airflow (its address and its database) or the connections themselves."""
    import argparse
    import os

    from include.foresight import runtime

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=float, default=60.0)
    parser.add_argument("--once", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    url = os.environ.get("AIRFLOW__API__BASE_URL", "http://127.0.0.1:8080")
    outside = runtime.Outside()

    def find() -> list[Alert]:
        outside.refresh()
        return look(runtime.databases(), url, outside.paused)

    outside.refresh()
    if not runtime.AirflowTransport().channels():
        log.warning(
            "NO CHANNEL: this process finds neither a connection %s nor %s, in its environment or in Airflow. What it "
            "sees is recorded, and sent by whoever has a channel.",
            runtime.SMTP_CONN_ID,
            runtime.WEBHOOK_CONN_ID,
        )
    rounds, patience = (1, 1) if options.once else (None, 2)
    guard(find, lambda alerts: runtime.send(*alerts), every=options.every, rounds=rounds, patience=patience)


if __name__ == "__main__":
    main()
