"""Unusual answers on a real log: what left its range, what is far from the others, and nothing else."""

from __future__ import annotations

import datetime
import json
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest

from include.foresight import anomalies, model_specs, monitoring
from include.foresight.runs import Run
from tests.support import nights
from tests.support.installation import Installation
from tests.support.nights import AS_OF, Bench

MODEL = UUID(int=7)
DAY = datetime.timedelta(days=1)


def answered(
    bench: Bench, run: Run, values: dict[int, float], *, model_uuid: UUID = MODEL, around: float = 2, model: str = ""
) -> None:
    """A night's answers, each with a range of twice `around` about it."""
    with psycopg.connect(bench.installed.primary) as connection:
        for entity_id, value in values.items():
            ranges = {"low_80": value - around, "high_80": value + around}
            connection.execute(
                "insert into ml.prediction_log (prediction_uuid, client_id, model, model_name, model_uuid, rung,"
                " run_id, entity_id, prediction_value, ranges, as_of, entity, input_features, feature_hash,"
                " response_time_ms, source)"
                " values (%s, %s, %s, 'm', %s, 'linear', %s, %s, %s, %s, %s, 'issue', '{}', 'x', 1, 'nightly')",
                [
                    uuid4(),
                    bench.client_id,
                    model or bench.spec.model,
                    model_uuid,
                    run.run_id,
                    entity_id,
                    value,
                    json.dumps(ranges),
                    run.as_of,
                ],
            )


def look(bench: Bench, run: Run, model: str = "complexity") -> dict[tuple[str, int], anomalies.Anomaly]:
    with bench.databases.primary() as primary, primary.as_client(bench.client_id) as tx:
        found = anomalies.look(tx, run.values, model_specs.read(model))
    return {(one.kind, one.entity_id): one for one in found}


def test_an_answer_that_leaves_its_range_is_unusual_by_how_far_it_does(bench: Bench):
    before, now = bench.night(AS_OF - DAY, state="success"), bench.night()
    answered(bench, before, {1: 5, 2: 5, 3: 5, 4: 5})
    answered(bench, now, {1: 6.5, 2: 8, 3: 30, 5: 99})
    found = look(bench, now)
    assert {key: one.severity for key, one in found.items()} == {
        ("left_its_range", 2): "medium",
        ("left_its_range", 3): "high",
    }
    day = f"{AS_OF - DAY:%Y-%m-%d}"
    assert found["left_its_range", 3].sentence == (
        f"issue 3 is answered with 30.00 points; on {day} its 80 % range was 3.00 to 7.00 points."
    )


def test_another_model_is_said_and_weighs_less(bench: Bench):
    before, now = bench.night(AS_OF - DAY, state="success"), bench.night()
    answered(bench, before, {1: 5})
    answered(bench, now, {1: 8}, model_uuid=UUID(int=8))
    [one] = look(bench, now).values()
    assert one.severity == "low" and one.sentence.endswith("by another model.")


def test_time_that_passes_is_no_change(bench: Bench):
    """An epic's remaining seconds are a day less after a day."""
    before, now = bench.night(AS_OF - DAY, state="success"), bench.night()
    answered(bench, before, {1: 86400.0 * 5, 2: 86400.0 * 5}, around=1000, model="trajectory")
    answered(bench, now, {1: 86400.0 * 4, 2: 86400.0 * 5}, around=1000, model="trajectory")
    found = look(bench, now, "trajectory")
    assert set(found) == {("left_its_range", 2)}
    # In days, which people read.
    assert "is answered with 5.00 days; on " in found["left_its_range", 2].sentence


def test_a_step_beyond_a_range_without_width_is_not_of_high_severity(bench: Bench):
    before, now = bench.night(AS_OF - DAY, state="success"), bench.night()
    answered(bench, before, {1: 1, 2: 1, 3: 8}, around=0)
    answered(bench, now, {1: 2, 2: 3, 3: 3}, around=0)
    assert [look(bench, now)["left_its_range", one].severity for one in (1, 2, 3)] == ["medium", "high", "high"]


def test_what_is_far_from_the_nights_others_is_unusual(bench: Bench):
    now = bench.night()
    usual = np.random.default_rng(1).lognormal(1, 0.3, 60)
    answered(bench, now, dict(enumerate(usual, start=1)) | {100: 400.0})
    [one] = look(bench, now).values()
    assert (one.kind, one.entity_id, one.severity) == ("far_from_the_others", 100, "high")
    assert one.sentence.startswith("issue 100 is answered with 400.00 points; the middle of the night's 61 answers is ")


def test_equal_answers_and_few_answers_say_nothing(bench: Bench):
    equal, few = bench.night(AS_OF - DAY, state="success"), bench.night()
    answered(bench, equal, dict.fromkeys(range(1, 61), 3.0) | {100: 50.0})
    answered(bench, few, {200: 1.0, 201: 2.0, 202: 3.0, 203: 900.0})
    assert look(bench, equal) == look(bench, few) == {}


def test_a_night_keeps_them_once_for_its_client_alone(bench: Bench, installed: Installation, databases, client_ids):
    before, now = bench.night(AS_OF - DAY, state="success"), bench.night()
    answered(bench, before, {3: 5.0})
    answered(bench, now, {3: 30.0})
    for _ in range(2):
        [health] = monitoring.watch(bench.databases, now, [bench.spec])
        assert health.unusual == 1
    [(kind, entity_id)] = bench.rows("kind, entity_id", "anomalies", "and run_id = %(run_id)s", run_id=now.run_id)
    assert (kind, entity_id) == ("left_its_range", 3)
    other = nights.bench(installed, databases, next(client_ids))
    for role in (f"foresight_client_{other.client_id}", "foresight_fleet", "foresight_reader"):
        with psycopg.connect(installed.app("foresight_primary")) as connection:
            connection.execute(f"set local role {role}")
            if role == "foresight_fleet":
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute("select count(*) from ml.anomalies")
            else:  # the reader may read every table, and no policy lets it see a row of this one
                assert connection.execute("select count(*) from ml.anomalies").fetchone() == (0,)
