"""Probabilities that are bent are bent back, by few rows a little, by many without a form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from include.foresight import calibration, model_specs

REWORK = replace(model_specs.read("rework"), prior=0.25)


def drawn(number: int, seed: int, bend) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, what the model says of them, and what is true."""
    chance = np.random.default_rng(seed)
    truth = chance.beta(1.5, 3, number)
    return (chance.random(number) < truth).astype(float), bend(truth), truth


def said(knots, given) -> np.ndarray:
    return np.interp(given, [knot[0] for knot in knots], [knot[1] for knot in knots])


def overconfident(truth):
    odds = (truth / (1 - truth)) ** 2.5
    return odds / (1 + odds)


def stepped(truth):
    return np.where(truth < 0.4, truth * 0.2, 0.9 + truth * 0.1)


@pytest.mark.parametrize(
    ("number", "bend", "off"), [(400, overconfident, 0.06), (2000, overconfident, 0.05), (2000, stepped, 0.06)]
)
def test_what_was_bent_is_bent_back(number, bend, off):
    labels, given, _ = drawn(number, 1, bend)
    knots = calibration.learn(REWORK, labels, given)
    _, fresh, truth = drawn(4000, 2, bend)
    before, after = np.abs(fresh - truth).mean(), np.abs(said(knots, fresh) - truth).mean()
    assert after < 0.6 * before and after < off


def test_what_is_right_already_is_left_alone():
    labels, given, _ = drawn(400, 3, lambda truth: truth)
    assert said(calibration.learn(REWORK, labels, given), given) == pytest.approx(given, abs=0.06)


def test_a_few_rows_move_little():
    given = np.linspace(0.1, 0.9, 9)
    knots = calibration.learn(REWORK, np.ones(9), given)
    assert np.abs(said(knots, given) - given).max() < 0.3
    assert calibration.learn(REWORK, [], [])[0][:2] == [pytest.approx(0.25), pytest.approx(0.25)]


def test_ranges_hold_the_share_that_comes_true():
    """Of many clients, as often as is said."""
    held = {0.5: [], 0.8: []}
    for seed in range(60):
        labels, given, _ = drawn(300, seed, lambda truth: truth)
        for place, _, low_50, high_50, low_80, high_80 in calibration.learn(REWORK, labels, given)[1:-1]:
            held[0.5].append(low_50 <= place <= high_50)
            held[0.8].append(low_80 <= place <= high_80)
    for promised, inside in held.items():
        # They stand for the rows about one knot, and the curve knows of the others as well: rather too often.
        assert promised - 0.05 <= np.mean(inside) <= 1
