"""Drift on a real log: what moves is found, what does not is left alone, and every night keeps what it found."""

from __future__ import annotations

import datetime
import json
from uuid import uuid4

import numpy as np
import psycopg
import pytest

from include.foresight import clients, drift, monitoring
from tests.support.nights import AS_OF, Bench

FEATURES = tuple(f"f{n}" for n in range(10))


def log(bench: Bench, rows: np.ndarray, first: int, from_day: float, per_day: float) -> None:
    """First answers of as many entities: a row's features, `per_day` of them a day."""
    with psycopg.connect(bench.installed.primary) as connection, connection.cursor() as cursor:
        with cursor.copy(
            "copy ml.prediction_log (prediction_uuid, client_id, model, model_name, rung, entity, entity_id,"
            " prediction_value, input_features, feature_hash, response_time_ms, source, as_of) from stdin"
        ) as copy:
            for n, row in enumerate(rows):
                as_of = AS_OF + datetime.timedelta(days=from_day + n / per_day)
                features = json.dumps(dict(zip(FEATURES, map(float, row), strict=True)) | {"constant": 1.0})
                given = (uuid4(), bench.client_id, bench.spec.model, "m", "linear", "issue", first + n, float(row[0]))
                copy.write_row((*given, features, "x", 1, "nightly", as_of))


def look(bench: Bench) -> dict[str, drift.Shift]:
    with bench.databases.primary() as primary:
        with primary.as_fleet() as fleet:
            client = clients.read(fleet, bench.slug)
        with primary.as_client(bench.client_id) as tx:
            return {one.name: one for one in drift.look(tx, client, bench.spec)}


def test_a_shift_of_half_a_deviation_is_found_at_two_hundred_rows(bench: Bench):
    chance = np.random.default_rng(1)
    before, lately = chance.normal(size=(1200, 10)), chance.normal(size=(200, 10))
    lately[:, 3] += 0.5
    log(bench, before, 0, -210, 6.7)
    log(bench, lately, 10_000, -29.9, 6.7)
    found = look(bench)
    assert {name for name, one in found.items() if one.state == drift.DRIFTING} == {"f3"}
    assert found["f3"].effect == pytest.approx(0.5, abs=0.2) and found["f3"].luck < 1e-4
    assert "constant" not in found


def test_a_young_client_is_warming_up(bench: Bench):
    log(bench, np.random.default_rng(2).normal(size=(40, 10)), 0, -20, 2)
    found = look(bench)
    assert set(FEATURES) <= set(found) and all(one.state == drift.WARMING_UP for one in found.values())


def test_a_large_client_is_not_told_of_what_does_not_matter(bench: Bench):
    chance = np.random.default_rng(3)
    lately = chance.normal(size=(2500, 10))
    lately[:, 5] += 0.15
    log(bench, chance.normal(size=(5000, 10)), 0, -210, 28)
    log(bench, lately, 100_000, -29.9, 84)
    found = look(bench)
    assert found["f5"].beyond_luck and found["f5"].state == drift.STEADY


def test_still_clients_are_left_alone(bench: Bench):
    """Monthly looks, at one long log that is cut off ever earlier."""
    chance = np.random.default_rng(4)
    log(bench, chance.normal(size=(3000, 10)), 0, -430, 7)
    alarms = looks = 0
    with psycopg.connect(bench.installed.primary, autocommit=True) as connection:
        for month in range(8):
            connection.execute(
                "update ml.prediction_log set active = as_of < %s where client_id = %s",
                [AS_OF - datetime.timedelta(days=30 * month), bench.client_id],
            )
            alarms += any(one.state == drift.DRIFTING for one in look(bench).values())
            looks += 1
    assert looks == 8 and alarms <= 1


def test_a_night_keeps_what_it_found_once(bench: Bench):
    chance = np.random.default_rng(5)
    lately = chance.normal(size=(200, 10)) + np.r_[2.0, np.zeros(9)]
    log(bench, chance.normal(size=(1200, 10)), 0, -210, 6.7)
    log(bench, lately, 10_000, -29.9, 6.7)
    run = bench.night()
    for _ in range(2):
        [found] = monitoring.watch(bench.databases, run, [bench.spec])
    assert set(found.drifting) == {"f0", "prediction"} and not found.warming_up
    rows = bench.rows("name, state, effect", "drift", "and run_id = %(run_id)s", run_id=run.run_id)
    assert len(rows) == len({row[0] for row in rows}) == 11
    assert {row[0] for row in rows if row[1] == drift.DRIFTING} == {"f0", "prediction"}
