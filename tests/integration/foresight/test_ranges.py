"""Ranges on real servers: ml.ranged beside what was learned, the gate that learns, the replica that applies."""

from __future__ import annotations

import datetime
import math

import numpy as np
import psycopg
import pytest

from include.foresight import model_specs, promotion, ranges
from include.foresight.database import PRIMARY, REPLICA, Databases
from include.foresight.ranges import SIMPLE, Row, learn
from tests.support import nights
from tests.support.installation import Installation
from tests.support.nights import Bench, Model

COMPLEXITY, REWORK = (model_specs.read(model) for model in ("complexity", "rework"))
BEGAN = datetime.datetime(2025, 1, 1)


@pytest.fixture(scope="module")
def bench(built: Bench) -> Bench:
    return built


def applied(bench: Bench, rule, answers) -> list:
    with bench.databases.session(REPLICA) as replica, replica.as_client(bench.client_id) as tx:
        return ranges.of_answers(tx, rule, answers)


def rules(bench: Bench, columns: str = "answered_by, rule") -> dict:
    return {row[0]: row[1:] for row in bench.rows(columns, "ranges", "and model = %(model)s", model=bench.spec.model)}


def drawn(number: int) -> list[Row]:
    chance = np.random.default_rng(7)
    labels = chance.choice([1.0, 2.0, 3.0, 5.0, 8.0], size=number)
    answers = np.exp(chance.normal(1, 0.5, number))
    return [
        Row(float(x), float(y), BEGAN + datetime.timedelta(hours=n))
        for n, (x, y) in enumerate(zip(labels, answers, strict=True))
    ]


def test_a_quantitys_range_is_what_was_learned(bench: Bench):
    rows = drawn(200)
    rule = dict(learn(COMPLEXITY, rows, [row.label for row in rows], None, follows=False).rule)
    free = rule | {"values": None}
    for answer, said in zip((0.0, 1.0, 3.5, 20.0), applied(bench, free, [0.0, 1.0, 3.5, 20.0]), strict=True):
        for name in ("50", "80"):
            low, high = (max(math.expm1(math.log1p(answer) + end), 0) for end in rule[name])
            assert (said[f"low_{name}"], said[f"high_{name}"]) == pytest.approx((low, high))
        assert said["p85"] == pytest.approx(math.expm1(math.log1p(answer) + rule["p85"]))
        assert said["share"] == pytest.approx((said["high_80"] - said["low_80"]) / rule["spread"])
        assert said["value"] == answer


def test_on_average_ranges_are_no_wider_than_the_labels_lie(bench: Bench):
    rows = drawn(200)
    labels = [row.label for row in rows]
    rule = learn(COMPLEXITY, rows, labels, None, follows=False).rule
    told = applied(bench, dict(rule) | {"values": None}, [row.answer for row in rows])
    assert np.mean([said["high_80"] - said["low_80"] for said in told]) <= 1.01 * ranges.ROOMIER * ranges.central(
        labels
    )


def test_ends_between_few_values_move_to_the_inner_ones(bench: Bench):
    rule = {"scale": "identity", "50": [-0.4, 0.4], "80": [-2.5, 4.0], "p85": 4.0, "spread": 4.0}
    found = applied(bench, rule | {"values": [1, 2, 3, 5, 8]}, [3.0, 3.5, 4.0, 6.4])
    ends = [(one["low_80"], one["high_80"], one["low_50"], one["high_50"]) for one in found]
    assert ends[0] == pytest.approx((1, 5, 3, 3), abs=1e-5)
    # A label on an end is inside; an answer between two values is too.
    assert ends[0][0] < 1 and ends[0][1] > 5 and ends[0][2] < 3 < ends[0][3]
    assert ends[1] == pytest.approx((1, 5, 3.1, 3.9), abs=1e-5)
    assert ends[2] == pytest.approx((2, 8, 3.6, 4.4), abs=1e-5)
    assert ends[3] == pytest.approx((5, 8, 6.0, 6.8), abs=1e-5)
    assert found[0]["share"] == pytest.approx(1, abs=1e-5)


def test_a_probability_is_told_as_what_it_has_come_to(bench: Bench):
    rule = {"knots": [[0.2, 0.1, 0.08, 0.12, 0.05, 0.2], [0.6, 0.5, 0.4, 0.6, 0.3, 0.7]]}
    low, between, high = applied(bench, rule, [0.0, 0.4, 1.0])
    assert (low["value"], low["raw"]) == (0.1, 0.0) and high["value"] == 0.5
    assert between == pytest.approx(
        {"raw": 0.4, "value": 0.3, "low_50": 0.24, "high_50": 0.36, "low_80": 0.175, "high_80": 0.45}
    )
    [alone] = applied(bench, {"knots": [[0.25, 0.25, 0.2, 0.3, 0.1, 0.4]]}, [0.9])
    assert (alone["value"], alone["low_80"]) == (0.25, 0.1)


def test_the_gate_learns_of_what_serves_and_of_the_simple_rung(bench: Bench, models):
    bench.serve(models["fair"])
    run = bench.night()
    uuid = bench.trained(run, models["good"].model_id)
    promotion.gate(bench.databases, run, [bench.spec])
    found = rules(bench, "answered_by, rule, rows_learned, run_id")
    assert set(found) == {SIMPLE, uuid}
    assert all(row[2] == run.run_id and row[1] > 0 for row in found.values())
    # The good model's is the narrower one, and the replica has it as what is in force.
    width = {who: row[0]["80"][1] - row[0]["80"][0] for who, row in found.items()}
    assert width[uuid] < width[SIMPLE]
    bench.installed.catch_up()
    for place in (PRIMARY, REPLICA):
        with bench.databases.session(place) as session, session.as_client(bench.client_id) as tx:
            assert ranges.current(tx, bench.client_id, bench.spec.model) == found[uuid][0]


def test_what_was_told_is_held_against_what_came(bench: Bench, models):
    """A rule of an earlier moment: the rows since are asked what it told of them, on the replica."""
    bench.serve(models["good"])
    run = bench.night()
    bench.trained(run, models["good"].model_id)
    promotion.gate(bench.databases, run, [bench.spec])
    early = Bench.moment(nights.ROWS - 41)
    with psycopg.connect(bench.installed.primary) as connection:
        connection.execute("update ml.ranges set as_of = %s where client_id = %s", [early, bench.client_id])
    bench.installed.catch_up()
    run = bench.night()
    bench.trained(run, models["good"].model_id)
    promotion.gate(bench.databases, run, [bench.spec])
    for held, levels in rules(bench, "answered_by, held, levels").values():
        if held is not None:
            assert held["rows"] == 41 and 0 <= held["80"] <= 1
            assert (levels["80"] - 0.8) * (0.8 - held["80"]) >= 0
    assert rules(bench, "answered_by, held")[models["good"].model_uuid][0]["rows"] == 41


def test_rules_of_models_that_may_return_are_kept(bench: Bench, models):
    bench.serve(models["poor"])
    run = bench.night()
    uuid = bench.trained(run, models["good"].model_id)
    promotion.gate(bench.databases, run, [bench.spec])
    assert uuid in rules(bench)
    bench.serve(models["fair"])
    run = bench.night()
    bench.trained(run, models["poor"].model_id)
    promotion.gate(bench.databases, run, [bench.spec])
    assert {uuid, models["fair"].model_uuid, SIMPLE} <= set(rules(bench))


def test_rules_of_the_last_three_different_champions_are_kept(bench: Bench, models):
    """However often two of them have taken turns; a fourth is forgotten."""
    bench.serve(models["poor"])
    fourth, third, *turns = (
        Model(bench.trained(bench.night(state="success"), models["fair"].model_id), models["fair"].model_id)
        for _ in range(4)
    )
    for model in (fourth, third, *turns, *turns, *turns):
        run = bench.night()
        champion = bench.serve(model)
        bench.trained(run, models["fair"].model_id)
        promotion.gate(bench.databases, run, [bench.spec])
        assert bench.champion() == champion
    assert set(rules(bench)) & {one.model_uuid for one in (fourth, third, *turns)} == {
        third.model_uuid,
        *(one.model_uuid for one in turns),
    }


def test_few_rows_teach_the_simple_rung_but_leave_a_models_rule(bench: Bench, models, monkeypatch):
    """A client's first labels move its ranges; after a rollback a model has few rows that count."""
    bench.serve(models["good"])
    run = bench.night()
    bench.trained(run, models["good"].model_id)
    promotion.gate(bench.databases, run, [bench.spec])
    before = rules(bench, "answered_by, run_id")
    assert {before[SIMPLE][0], before[models["good"].model_uuid][0]} == {run.run_id}
    monkeypatch.setattr(ranges, "LEAST", 10_000)
    later = bench.night()
    bench.trained(later, models["good"].model_id)
    promotion.gate(bench.databases, later, [bench.spec])
    after = rules(bench, "answered_by, run_id")
    assert after[SIMPLE] == (later.run_id,) and after[models["good"].model_uuid] == (run.run_id,)


def test_a_night_without_a_model_teaches_the_simple_rung(bench: Bench, models):
    bench.serve(None)
    run = bench.night()
    bench.trained(run, None, status="too_little_data", rung=None)
    promotion.gate(bench.databases, run, [bench.spec])
    assert rules(bench, "answered_by, run_id")[SIMPLE] == (run.run_id,)


def test_a_night_that_trains_nothing_teaches_what_serves(bench: Bench, models):
    """Labels come although no training is due."""
    uuid = models["good"].model_uuid
    bench.serve(models["good"])
    run = bench.night()
    bench.trained(run, None, status="not_due", rung=None, reason="not due")
    [decision] = promotion.gate(bench.databases, run, [bench.spec])
    assert (decision.decision, decision.sentence) == (None, "not due")
    found = rules(bench, "answered_by, run_id, rows_learned")
    assert found[uuid][0] == found[SIMPLE][0] == run.run_id
    assert found[uuid][1] == nights.ROWS - nights.LEARNED
    assert bench.champion().model_uuid == uuid


def test_a_dry_run_learns_nothing(bench: Bench, models):
    bench.serve(models["fair"])
    before = rules(bench, "answered_by, rule, run_id")
    run = bench.night(dry_run=True)
    bench.trained(run, models["good"].model_id)
    promotion.gate(bench.databases, run, [bench.spec])
    assert rules(bench, "answered_by, rule, run_id") == before


def test_ranges_are_the_clients_own(bench: Bench, models, installed: Installation, databases: Databases, client_ids):
    bench.serve(models["fair"])
    run = bench.night()
    bench.trained(run, models["good"].model_id)
    promotion.gate(bench.databases, run, [bench.spec])
    other = nights.bench(installed, databases, next(client_ids))
    assert rules(bench)
    for place in (PRIMARY, REPLICA):
        with psycopg.connect(installed.app(place)) as connection:
            connection.execute(f"set local role foresight_client_{other.client_id}")
            assert connection.execute("select count(*) from ml.ranges").fetchone() == (0,)
