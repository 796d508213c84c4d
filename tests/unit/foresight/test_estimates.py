"""The error that is expected before labels come, beside the one that comes."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from include.foresight import estimates, gates, model_specs
from include.foresight.track_record import Outcome, Told

START = datetime.datetime(2026, 1, 1)


def told(place: int, value: float, day: float = 0.0) -> Told:
    return Told(place, START + datetime.timedelta(days=day), value, None, {})


def outcomes(values: np.ndarray, labels: np.ndarray, day: float = 0.0, after: float = 5.0) -> list[Outcome]:
    known = START + datetime.timedelta(days=day + after)
    return [
        Outcome(told(place, value, day), label, known)
        for place, (value, label) in enumerate(zip(values.tolist(), labels.tolist(), strict=True))
    ]


def test_of_right_probabilities_the_order_is_foreseen():
    chance = np.random.default_rng(1)
    spec = model_specs.read("rework")
    p = np.round(chance.beta(2, 4, 6000), 2)
    truth = (chance.random(6000) < p).astype(float)
    came = gates.metrics(spec, truth, p)["error"]
    assert estimates.expected(spec, p.tolist(), []) == pytest.approx(came, abs=0.02)
    assert estimates.expected(spec, [0.5] * 100, []) == pytest.approx(0.5)
    assert estimates.expected(spec, [0.5] * 5, []) is None


def test_a_handful_of_pairs_is_counted_by_hand():
    p = [0.1, 0.4, 0.4, 0.9]
    pairs = [(a, b) for a in range(4) for b in range(4) if a != b]
    whole = sum(p[a] * (1 - p[b]) for a, b in pairs)
    right = sum(p[a] * (1 - p[b]) * (1.0 if p[a] > p[b] else 0.5 if p[a] == p[b] else 0.0) for a, b in pairs)
    assert estimates._disorder(p) == pytest.approx(1 - right / whole)


@pytest.mark.parametrize("model", ["complexity", "trajectory"])
def test_larger_answers_are_expected_to_be_further_off(model: str):
    """Of a month of larger answers whose truth nobody knows yet; a plain mean of what was known is far off."""
    chance = np.random.default_rng(2)
    spec = model_specs.read(model)
    spread = (lambda v: 0.2 * v) if model == "complexity" else (lambda v: v * (0.05 + v / 200))
    old, new = chance.uniform(5, 30, 3000), chance.uniform(20, 30, 3000)
    old_truth = np.maximum(old + chance.normal(size=3000) * spread(old), 1)
    new_truth = np.maximum(new + chance.normal(size=3000) * spread(new), 1)
    known = outcomes(old, old_truth)
    said = estimates.expected(spec, new.tolist(), known)
    came = gates.metrics(spec, new_truth, new)["error"]
    plain = gates.metrics(spec, old_truth, old)["error"]
    assert said == pytest.approx(came, rel=0.1) and abs(plain - came) > 2 * abs(said - came)


def test_an_estimate_stays_as_it_was_when_the_truth_comes():
    spec = model_specs.read("complexity")
    january = outcomes(np.full(40, 3.0), np.full(40, 5.0), day=1)
    february = outcomes(np.full(40, 3.0), np.full(40, 30.0), day=35, after=40)
    answers = [one.told for one in january + february]
    before = estimates.periods(spec, answers, january, START + datetime.timedelta(days=60))
    after = estimates.periods(spec, answers, january + february, START + datetime.timedelta(days=200))
    assert [one.error for one in before] == [one.error for one in after] == [2.0, 2.0]
    # What had not come by the end of its month is not known to it.
    late = outcomes(np.full(40, 3.0), np.full(40, 5.0), day=1, after=90)
    assert [one.error for one in estimates.periods(spec, answers, late, START + datetime.timedelta(days=60))] == [
        None,
        None,
    ]
