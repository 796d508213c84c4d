"""When a model is trained anew: by labels, by age, by drift that does harm, and by nothing else."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest

from include.foresight import clients, drift, monitoring, retraining, track_record
from include.foresight.database import Databases
from include.foresight.runs import Request, Run
from tests.support import nights
from tests.support.installation import Installation
from tests.support.nights import AS_OF, Bench

DAY = datetime.timedelta(days=1)
PER_DAY = 200 / 30


@pytest.fixture(scope="module")
def databases(installed: Installation) -> Iterator[Databases]:
    with nights.warm(installed) as databases:
        yield databases


@pytest.fixture
def bench(installed: Installation, databases: Databases, client_ids) -> Bench:
    return nights.bench(installed, databases, next(client_ids))


def due(bench: Bench, days: float, new: int, rows: int = 200, **other) -> retraining.Due:
    request = Request(**other)
    with bench.databases.primary() as primary, primary.as_fleet() as fleet:
        client = clients.read(fleet, bench.slug)
    run = Run(UUID(int=1), client, AS_OF, request, "prepared")
    last = {"as_of": AS_OF - days * DAY, "rows": rows}
    return retraining.due(run, bench.spec, last, lost=False, same=True, new=new)


def test_labels_and_age_and_the_cool_down(bench: Bench):
    assert (due(bench, 10, 19).now, due(bench, 10, 20).trigger) == (False, "labels")
    assert "19 labels since the last training 10 days ago; 20 labels or 28 days" in due(bench, 10, 19).reason
    # Of a small table ten are needed.
    assert (due(bench, 10, 9, rows=40).now, due(bench, 10, 10, rows=40).trigger) == (False, "labels")
    assert not due(bench, 6, 150).now and "at most every 7 days" in due(bench, 6, 150).reason
    assert (due(bench, 27.9, 1).now, due(bench, 28, 1).trigger) == (False, "age")


def test_what_somebody_asks_for_is_done(bench: Bench):
    assert due(bench, 1, 0, force_retrain=True).trigger == "asked"
    assert due(bench, 1, 0, models=("complexity",)).trigger == "asked"
    asked = due(bench, 1, 0, models=("complexity",), reason="drift in size")
    assert (asked.now, asked.trigger, asked.reason) == (True, "drift", "drift in size")


def test_what_can_wait_waits_when_the_budget_is_spent(bench: Bench, monkeypatch):
    client = due_client(bench)
    labels, asked = due(bench, 10, 50), due(bench, 10, 50, force_retrain=True)
    bench.trained(bench.night(state="success"), None, trigger="labels", cpu_seconds=7.0, model="rework")
    monkeypatch.setenv("FORESIGHT_RETRAINING_SECONDS", "5")
    with bench.databases.primary() as primary:
        waits = retraining.within_budget(primary, client, labels)
        assert not waits.now and "budget of 5 s is spent" in waits.reason
        assert retraining.within_budget(primary, client, asked) == asked
        monkeypatch.setenv("FORESIGHT_RETRAINING_SECONDS", "1000000")
        assert retraining.within_budget(primary, client, labels) == labels


def due_client(bench: Bench) -> clients.Client:
    with bench.databases.primary() as primary, primary.as_fleet() as fleet:
        return clients.read(fleet, bench.slug)


# --- By drift


def lived(bench: Bench, seed: int, *, shift: float = 0.0, off: float = 1.0, days: int = 150, late: int = 31) -> None:
    """Answers about issues whose points come two days after. In the last `late` days one feature has moved by `shift`
    deviations and what was told is further off by `off`."""
    chance = np.random.default_rng(seed)
    count = round(days * PER_DAY)
    moments = [AS_OF - DAY * (days - n / PER_DAY) for n in range(count)]
    late_ones = np.array([moment > AS_OF - late * DAY for moment in moments])
    feature = chance.normal(size=count) + shift * late_ones
    told = 15 + 2 * chance.normal(size=count)
    labels = told + chance.normal(size=count) * np.where(late_ones, off, 1.0)
    with psycopg.connect(bench.installed.platform) as platform, platform.cursor() as cursor:
        ids = [
            cursor.execute(
                "insert into issues (key, external_id, summary, story_points, created, work_first_started_at,"
                " client_id) values (%s, %s, 'x', %s, %s, %s, %s) returning id",
                [f"R-{n}", f"{n}", label, moment - DAY, moment + 2 * DAY, bench.client_id],
            ).fetchone()[0]
            for n, (moment, label) in enumerate(zip(moments, labels.tolist(), strict=True))
        ]
    with psycopg.connect(bench.installed.primary) as connection, connection.cursor() as cursor:
        with cursor.copy(
            "copy ml.prediction_log (prediction_uuid, client_id, model, model_name, rung, entity, entity_id,"
            " prediction_value, input_features, feature_hash, response_time_ms, source, as_of) from stdin"
        ) as copy:
            for entity, moment, value, size in zip(ids, moments, told.tolist(), feature.tolist(), strict=True):
                given = (uuid4(), bench.client_id, bench.spec.model, "m", "linear", "issue", entity, value)
                copy.write_row((*given, json.dumps({"size": size, "simple": 3.0}), "x", 1, "nightly", moment))
    bench.installed.catch_up()


def watched(bench: Bench, as_of: datetime.datetime = AS_OF, **request) -> monitoring.Health:
    [found] = monitoring.watch(bench.databases, bench.night(as_of, **request), [bench.spec])
    return found


def asked(bench: Bench) -> list[tuple]:
    return bench.rows("reason, as_of, taken_at is not null", "retrain_requests", "order by asked_at")


def test_drift_that_does_harm_asks_once_and_rests(bench: Bench, installed: Installation):
    lived(bench, 1, shift=0.8, off=3.0)
    found = watched(bench, AS_OF - DAY)
    assert "size" in found.drifting
    assert (
        found.retrain.startswith("drift in size") and "the error of what came true has grown from 0.8" in found.retrain
    )
    assert watched(bench).retrain is None
    [(reason, as_of, taken)] = asked(bench)
    assert (reason, as_of, taken) == (found.retrain, AS_OF - DAY, False)
    # The labels are looked at as well, and have not moved.
    assert ("label", "steady") in bench.rows("name, state", "drift", "and model = 'complexity'")


def test_drift_without_harm_asks_for_nothing(bench: Bench):
    lived(bench, 2, shift=0.8)
    found = watched(bench)
    assert found.drifting == ("size",) and found.retrain is None and asked(bench) == []


def test_harm_without_drift_asks_for_nothing(bench: Bench):
    lived(bench, 3, off=3.0)
    found = watched(bench)
    assert "size" not in found.drifting and found.retrain is None and asked(bench) == []


def test_what_a_new_model_has_not_answered_yet_is_not_held_against_it(bench: Bench):
    """The last month was bad, and the model was trained nine days ago: too little of its own has come true."""
    lived(bench, 4, shift=0.8, off=3.0)
    bench.trained(bench.night(AS_OF - 1.5 * DAY, state="success"), None)
    assert watched(bench).retrain is None
    assert asked(bench) == []


def test_a_run_of_the_past_and_a_dry_run_ask_for_nothing(bench: Bench):
    lived(bench, 5, shift=0.8, off=3.0)
    for request in ({"dry_run": True}, {"past": True}):
        assert monitoring.watch(bench.databases, bench.night(**request), [bench.spec]) == []
    assert asked(bench) == [] and watched(bench).retrain


def test_a_repeated_watch_asks_once(bench: Bench):
    lived(bench, 6, shift=0.8, off=3.0)
    run = bench.night()
    for _ in range(2):
        [found] = monitoring.watch(bench.databases, run, [bench.spec])
        assert found.retrain
    assert len(asked(bench)) == 1


def test_what_is_asked_for_is_taken_once_and_is_the_reason_of_the_run(bench: Bench, installed: Installation):
    lived(bench, 7, shift=0.8, off=3.0)
    reason = watched(bench).retrain
    mine = [one for one in retraining.take(bench.databases) if one.slug == bench.slug]
    assert [(one.models, one.reason) for one in mine] == [(("complexity",), f"complexity: {reason}")]
    assert [one for one in retraining.take(bench.databases) if one.slug == bench.slug] == []
    assert [taken for *_, taken in asked(bench)] == [True]
    request = Request.of({"models": list(mine[0].models), "reason": mine[0].reason})
    assert Request.of(request.stated()) == request and not request.usual


def test_over_the_budget_what_is_asked_for_waits(bench: Bench, monkeypatch):
    lived(bench, 8, shift=0.8, off=3.0)
    assert watched(bench).retrain
    monkeypatch.setenv("FORESIGHT_RETRAINING_SECONDS", "0")
    assert retraining.take(bench.databases) == []
    assert [taken for *_, taken in asked(bench)] == [False]


def test_requests_are_their_clients_alone(bench: Bench, installed: Installation, client_ids):
    lived(bench, 9, shift=0.8, off=3.0)
    assert watched(bench).retrain
    other = nights.bench(installed, bench.databases, next(client_ids))
    with psycopg.connect(installed.app("foresight_primary")) as connection:
        connection.execute(f"set local role foresight_client_{other.client_id}")
        assert connection.execute("select count(*) from ml.retrain_requests").fetchone() == (0,)
        assert connection.execute("update ml.retrain_requests set taken_at = now()").rowcount == 0


def test_outcomes_are_those_that_a_moment_could_know(bench: Bench):
    lived(bench, 10, days=60)
    client = due_client(bench)
    with bench.databases.primary() as primary, primary.as_client(bench.client_id) as tx:
        told = track_record.told(tx, client, bench.spec, AS_OF - 10 * DAY)
        everything = track_record.told(tx, client, bench.spec)
    assert len(told) == round(50 * PER_DAY) + 1 < len(everything)
    with bench.databases.session(client.replica_conn_id) as replica:
        with replica.as_client(bench.client_id) as tx:
            known = track_record.outcomes(tx, client, bench.spec, everything, AS_OF - 10 * DAY)
        with replica.as_client(bench.client_id) as tx:
            late = track_record.outcomes(tx, client, bench.spec, everything)
    # Points come two days after the answer.
    assert {one.told.entity_id for one in known} == {
        one.entity_id for one in everything if one.as_of <= AS_OF - 12 * DAY
    }
    assert len(late) == len(everything)
    before, recent = drift.recent(known)
    assert max(one.known_at for one in recent) <= AS_OF - 10 * DAY
    assert all(one.known_at <= AS_OF - 40 * DAY + 0.2 * DAY for one in before)
