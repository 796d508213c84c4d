"""Callers of the prediction API: keys for them, and what there is to ask for."""

from __future__ import annotations

from include.foresight import api_keys
from tests.support.installation import Installation

CLIENT, OTHER = 1, 2
ROOT = "/api/ml"
# What needs no key: that the server lives, and what is the same for everybody.
OPEN = {"/docs", "/openapi.json", "/page/{name}", "/alive", "/ready", "/v1/alive", "/v1/ready"}


def key(world: Installation, *clients: int, **how: object) -> str:
    with world.databases.primary() as primary:
        made = api_keys.issue(primary, "test", clients, **how)
    world.catch_up()
    return made


def keys(world: Installation, client: int, kind: str = "Story", count: int = 3) -> list[str]:
    rows = world.rows(
        world.primary,
        "select i.key from issues as i join issuetypes as t on t.id = i.issuetype_id where i.client_id = %(client)s"
        " and t.original_name = %(kind)s and i.active and length(i.summary) > 10 and i.key is not null"
        " group by i.key having count(*) = 1 order by max(i.created) limit %(count)s",
        {"client": client, "kind": kind, "count": count},
    )
    return [key for (key,) in rows]


def numbers(world: Installation, client: int) -> tuple[str, list[int]]:
    """A repository and the numbers of its pull requests, the newest first."""
    [(repository, found)] = world.rows(
        world.primary,
        "select r.full_name, array_agg(p.number order by p.number desc) from pull_requests as p"
        " join repositories as r on r.id = p.repository_id where p.client_id = %(client)s and p.active"
        " group by r.full_name order by r.full_name limit 1",
        {"client": client},
    )
    return repository, found
