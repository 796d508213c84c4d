"""A history lived again, on servers that are thrown away: it learns, promotes, and sees nothing of what comes later."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from demo import history
from include.foresight import answering, champions, hindsight, model_specs, nightly, replay, runs
from include.foresight.database import PRIMARY, REPLICA
from include.foresight.errors import ReplayRefused
from include.foresight.replay import Replay, Replayed
from launcher import throwaway
from tests.support import nights
from tests.support.installation import Installation
from tests.support.signal import Client, row

pytestmark = pytest.mark.own_engine

BEGAN = datetime.datetime(2025, 3, 3)
WEEKS, PER_WEEK = 9, 40
# From here on the second client's points are others than the first one's.
TURN = BEGAN + datetime.timedelta(weeks=7, days=3)
SEED = 5
AS_IT_WAS, TURNED = 1, 2


@dataclass
class Lived:
    installed: Installation
    servers: throwaway.ThrowAway
    replayed: dict[int, Replayed]


@pytest.fixture(scope="module")
def lived() -> Iterator[Lived]:
    with throwaway.installation() as servers:
        servers.install()
        made = Installation(servers.primary, servers.replica, servers.platform, servers.passwords)
        for client_id in (AS_IT_WAS, TURNED):
            made.add_client(client_id, clock="data")
            desk = nights.desk(made, client_id)
            client = Client(SEED, BEGAN, per_week=PER_WEEK, noise=0.1)
            issues = [issue for _ in range(WEEKS) for issue in client.week()]
            rows = [
                desk.issue(type=issue.kind, status="Done") | row(issue, f"S-{n}", known=True)
                for n, issue in enumerate(issues)
            ]
            if client_id == TURNED:
                for one in rows:
                    if one["created"] >= TURN:
                        one["story_points"] = 22 - one["story_points"]
            desk.insert("issues", rows)
        history.keep(servers.platform)
        replayed = {}
        for client_id in (AS_IT_WAS, TURNED):
            past = history.Client(servers.platform, client_id)
            with servers.databases() as databases:
                replayed[client_id] = Replay(
                    databases,
                    f"client_{client_id}",
                    "complexity",
                    past.show,
                    library=client_id == AS_IT_WAS,
                ).live(*past.span())
        yield Lived(made, servers, replayed)


def test_every_labelled_row_is_answered_once_in_order(lived: Lived):
    found = lived.replayed[AS_IT_WAS]
    assert len(found.answers) == WEEKS * PER_WEEK == len({one.entity_id for one in found.answers})
    assert [one.moment for one in found.answers] == sorted(one.moment for one in found.answers)
    assert [step.as_of - BEGAN for step in found.steps] == [
        (found.answers[0].moment - BEGAN) + n * replay.WEEK for n in range(1, len(found.steps) + 1)
    ]


def test_a_replay_promotes_what_is_better_and_serves_it(lived: Lived):
    found = lived.replayed[AS_IT_WAS]
    promoted = hindsight.promotions(found)
    assert promoted and not any(one.false for one in promoted)
    served, simple = (
        sum(abs(one.label - getattr(one, name)) for one in found.answers if one.rung in replay.MODELS)
        for name in ("served", "simple")
    )
    assert served < 0.9 * simple
    first = promoted[0]
    assert all(one.moment > first.at for one in found.answers if one.rung in replay.MODELS)
    assert all(one.served == one.simple for one in found.answers if one.rung not in replay.MODELS)


def test_what_comes_later_changes_no_earlier_answer(lived: Lived):
    """The two clients are the same up to TURN; whatever their later points, all before was answered alike."""

    def before(client_id: int) -> list[tuple]:
        return [
            (one.moment, one.label, one.simple, one.served, one.rung, one.known_labels)
            for one in lived.replayed[client_id].answers
            if one.moment < TURN
        ]

    def after(client_id: int) -> list[float]:
        return [one.served for one in lived.replayed[client_id].answers if one.moment >= TURN]

    assert any(answer[4] in replay.MODELS for answer in before(AS_IT_WAS))
    assert before(AS_IT_WAS) == before(TURNED)
    assert after(AS_IT_WAS) != after(TURNED)


def test_the_whole_is_answered_as_each_row_alone_would_have_been(lived: Lived):
    """What the last champion said of a set of rows is what the same path as a request's says of each at its moment."""
    last = [one for one in lived.replayed[AS_IT_WAS].answers if one.moment > lived.replayed[AS_IT_WAS].steps[-1].as_of]
    assert len(last) > 5 and last[0].rung in replay.MODELS
    spec = model_specs.read("complexity")
    with lived.servers.databases() as databases:
        with databases.session(PRIMARY) as primary, primary.as_client(AS_IT_WAS) as tx:
            champion = champions.read(tx, AS_IT_WAS)["complexity"]
        for one in last[::5]:
            with databases.session(REPLICA) as replica, replica.as_client(AS_IT_WAS) as tx:
                answering.answer(tx, spec, AS_IT_WAS, one.moment, champion, [one.entity_id])
                [(value, ranges)] = tx.connection.execute("select value, ranges::jsonb from outgoing").fetchall()
            assert value == pytest.approx(one.served, rel=1e-6), one
            assert (ranges["low_80"], ranges["high_80"]) == pytest.approx(one.intervals[80], rel=1e-5), one


def test_an_answer_has_the_range_that_was_in_force(lived: Lived):
    found = lived.replayed[AS_IT_WAS]
    first = found.steps[0].as_of
    for one in found.answers:
        if one.moment <= first:
            assert one.intervals == {}
            continue
        (low_50, high_50), (low_80, high_80) = one.intervals[50], one.intervals[80]
        assert low_80 <= one.served <= high_80 and low_50 <= one.served <= high_50
        assert high_50 - low_50 <= high_80 - low_80
    assert len({one.version for one in found.answers}) > 1
    # What is learned follows what comes: the ranges of the same answer are not the same for ever.
    assert len({(one.served, one.intervals.get(80)) for one in found.answers}) > len(
        {one.served for one in found.answers}
    )


def test_the_library_default_is_asked_beside(lived: Lived):
    rows = [one for one in lived.replayed[AS_IT_WAS].answers if one.library is not None]
    assert rows and all(one.library != one.served for one in rows[:10])
    assert not any(one.library is not None for one in lived.replayed[TURNED].answers)


def test_the_platform_is_shown_as_it_was(lived: Lived):
    with psycopg.connect(lived.servers.platform) as platform:
        client_id = 900
        platform.execute("insert into public.clients (id, name) values (%s, 'shown')", [client_id])
        platform.execute(
            "insert into history.issues"
            " (id, client_id, key, created, work_last_completed_at, created_at, last_updated_at, active) values"
            " (90001, %(id)s, 'A', %(at)s, %(at)s + interval '9 days', %(at)s, %(at)s + interval '9 days', true),"
            " (90002, %(id)s, 'B', %(at)s + interval '5 days', null, %(at)s, %(at)s + interval '5 days', true)",
            {"id": client_id, "at": BEGAN},
        )

    def shown() -> list[tuple]:
        return lived.installed.rows(
            lived.installed.primary,
            "select key, work_last_completed_at is not null, last_updated_at from public.issues"
            " where client_id = %(id)s order by key",
            {"id": client_id},
        )

    past = history.Client(lived.servers.platform, client_id)
    day = datetime.timedelta(days=1)
    past.show(BEGAN + 2 * day)
    assert shown() == [("A", False, BEGAN + 2 * day)]
    past.show(BEGAN + 6 * day)
    assert [one[:2] for one in shown()] == [("A", False), ("B", False)]
    past.show(BEGAN + 10 * day)
    assert shown() == [("A", True, BEGAN + 9 * day), ("B", False, BEGAN + 5 * day)]
    with pytest.raises(ValueError, match="is before that"):
        past.show(BEGAN)


def test_servers_that_stay_refuse_a_replay(installed: Installation, client_ids):
    """Also of somebody who may set what a session, his role or a database lets him."""
    client_id = installed.add_client(next(client_ids))
    installed.catch_up()
    request = {"trigger": runs.REPLAY, "as_of": BEGAN.isoformat()}
    with pytest.raises(ReplayRefused, match="cluster_name"):
        nightly.prepare(installed.databases, f"client_{client_id}", "a replay", request)
    assert installed.rows(installed.primary, "select from ml.nightly_runs where client_id = %s", [client_id]) == []
    for statement in (
        "set cluster_name = 'foresight throw-away'",
        "alter role foresight_app set cluster_name = 'foresight throw-away'",
        "alter database postgres set cluster_name = 'foresight throw-away'",
    ):
        with psycopg.connect(installed.primary) as connection, pytest.raises(psycopg.errors.CantChangeRuntimeParam):
            connection.execute(statement)
