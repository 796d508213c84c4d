"""What a training costs: the sum over client and model is what the database's processes have used."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import psutil
import pytest

from include.foresight import nightly, overview
from launcher.processes import wait_until
from tests.support import demo_night
from tests.support.installation import Installation
from tests.support.servers import Servers

# Its clock is our engine's, and the processes are those of a server on this machine.
pytestmark = pytest.mark.own_engine

CLIENTS = (1, 2)


@pytest.fixture(scope="module")
def world(new_pair: Callable[..., contextlib.AbstractContextManager[Installation]]) -> Iterator[Installation]:
    with new_pair() as made:
        demo_night.load(made)
        yield made


def ended_processes(servers: Servers) -> float:
    """Processor time of all processes of the replica's server that have ended."""
    [postmaster, *_] = servers.replica.servers()
    spent = psutil.Process(postmaster.pid).cpu_times()
    return spent.children_user + spent.children_system


def wait_for_the_end_of_sessions(servers: Servers) -> None:
    """A session ends a moment after its connection, and is counted when the postmaster has seen it end: until then it
    is a child without a command line."""
    [postmaster, *_] = servers.replica.servers()

    def all_ended() -> bool:
        return not any("foresight_app" in title or not title for title in map(title_of, postmaster.children()))

    assert wait_until(all_ended, 60, 0.05)


def title_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_costs_add_up_to_what_the_processes_used(world: Installation, servers: Servers):
    databases = world.databases
    for client in CLIENTS:
        slug = demo_night.SLUGS[client]
        nightly.prepare(databases, slug, "night", {})
        nightly.validate(databases, slug, "night")
    wait_for_the_end_of_sessions(servers)
    before = ended_processes(servers)
    for client in CLIENTS:
        nightly.train(databases, demo_night.SLUGS[client], "night")
    wait_for_the_end_of_sessions(servers)
    used = ended_processes(servers) - before
    with databases.primary() as primary, primary.as_fleet() as tx:
        since = world.rows(world.primary, "select now() - interval '1 hour'")[0][0]
        costs = [cost for cost in overview.costs(tx, since) if cost.client_id in CLIENTS]
    assert len(costs) == 3 * len(CLIENTS) and all(cost.trainings == 1 for cost in costs)
    told = sum(cost.cpu_seconds for cost in costs)
    assert used > 1, "too little to compare"
    assert told == pytest.approx(used, rel=0.05)
    # Time on the clock is more: it holds the waiting too.
    assert all(0 < cost.cpu_seconds <= cost.seconds * 1.05 for cost in costs)
