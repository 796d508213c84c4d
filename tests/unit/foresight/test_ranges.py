"""Ranges as pure functions of labels and answers: what they hold, how wide they are, what they follow."""

from __future__ import annotations

import datetime
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from include.foresight import hindsight, model_specs, ranges
from include.foresight.ranges import PROMISED, Known, Row, central, learn, spread

COMPLEXITY, REWORK, TRAJECTORY = (model_specs.read(model) for model in ("complexity", "rework", "trajectory"))
BEGAN = datetime.datetime(2025, 1, 1)
POINTS = np.array([1.0, 2.0, 3.0, 5.0, 8.0, 13.0])


def rows(labels, answers, first: int = 0) -> list[Row]:
    return [
        Row(float(label), float(answer), BEGAN + datetime.timedelta(hours=first + n))
        for n, (label, answer) in enumerate(zip(labels, answers, strict=True))
    ]


def ends(rule, answer: float, share: str = "80") -> tuple[float, float]:
    """As ml.ranged has it (an integration test holds the two together)."""
    low, high = (max(math.expm1(math.log1p(answer) + end), 0) for end in rule[share])
    inside = [value for value in rule["values"] or () if low <= value <= high]
    return (min(inside[0] - 1e-6, answer), max(inside[-1] + 1e-6, answer)) if inside else (low, high)


def told(rule, row: Row) -> Row:
    said = {
        f"{end}_{share}": at
        for share in ("50", "80")
        for end, at in zip(("low", "high"), ends(rule, row.answer, share), strict=True)
    }
    return replace(row, told=said | {"p85": math.expm1(math.log1p(row.answer) + rule["p85"])})


def lived(labels, answers, nightly: int = 20) -> tuple[float, float, float]:
    """Night by night: the share held of what came after (ties half), the mean width, and that of the central part."""
    known, held, widths, spreads = None, [], [], []
    everything = rows(labels, answers)
    for night in range(nightly, len(labels), nightly):
        new = [told(known.rule, row) for row in everything[night - nightly : night]] if known else everything[:night]
        learned = learn(
            COMPLEXITY,
            [*everything[: night - nightly], *new],
            labels[:night],
            known,
            follows=known is not None,
        )
        known = Known(learned.rule, learned.levels, everything[night - 1].known_at)
        for row in everything[night : night + nightly]:
            low, high = ends(learned.rule, row.answer)
            held.append(hindsight.inside(row.label, low, high))
            widths.append(high - low)
            spreads.append(np.diff(np.quantile(labels[max(0, night - 200) : night], [0.1, 0.9]))[0])
    return np.mean(held), np.mean(widths), np.mean(spreads)


@pytest.mark.parametrize("shares", [(2, 2, 2, 2, 1, 1), (4, 3, 2, 1, 0, 0), (1, 4, 8, 5, 2, 0), (6, 1, 1, 1, 1, 0)])
def test_few_valued_labels_are_held_as_often_as_is_said_and_no_wider_than_they_lie(shares):
    """No range of theirs holds 80 % with ties counted by half; over the nights they do."""
    chance = np.random.default_rng(3)
    labels = chance.choice(POINTS, size=900, p=np.array(shares) / sum(shares))
    answers = [np.median(labels[max(0, n - 50) : n]) if n else 3.0 for n in range(len(labels))]
    held, width, usual = lived(labels, answers)
    assert held == pytest.approx(0.8, abs=0.05)
    assert width <= usual


def test_a_change_of_the_labels_is_followed():
    chance = np.random.default_rng(4)
    calm, wild = np.exp(chance.normal(1, 0.2, 600)), np.exp(chance.normal(1, 0.8, 600))
    labels = np.concatenate([calm, wild])
    held, _, _ = lived(labels, np.full(len(labels), np.e))
    assert held == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("moves", ["wanders", "jumps"])
def test_labels_that_never_rest_are_held_all_the_same(moves: str):
    chance = np.random.default_rng(6)
    level, labels = 1.2, []
    for n in range(1500):
        if moves == "wanders":
            level = min(max(level + chance.normal(0, 0.06), 0.2), 2.4)
        elif n % 120 == 0:
            level = chance.normal(1.3, 0.6)
        labels.append(POINTS[np.abs(POINTS - np.exp(chance.normal(level, 0.55))).argmin()])
    answers = [float(np.median(labels[max(0, n - 50) : n])) if n else 3.0 for n in range(len(labels))]
    held, width, usual = lived(np.array(labels), answers)
    assert held == pytest.approx(0.8, abs=0.04)
    assert width <= 0.9 * usual


def test_answers_that_know_more_have_narrower_ranges():
    chance = np.random.default_rng(5)
    labels = np.exp(chance.normal(1.5, 0.8, 400))
    knowing = labels * np.exp(chance.normal(0, 0.1, 400))
    found = {
        name: learn(COMPLEXITY, rows(labels, answers), labels, None, follows=False).rule
        for name, answers in (("knowing", knowing), ("not", np.full(400, 4.5)))
    }
    assert np.diff(ends(found["knowing"], 4.5))[0] < 0.4 * np.diff(ends(found["not"], 4.5))[0]


def test_without_a_label_the_spec_speaks_and_its_word_fades():
    def width(labels) -> float:
        rule = learn(COMPLEXITY, rows(labels, np.full(len(labels), 3.0)), labels, None, follows=False).rule
        return rule["80"][1] - rule["80"][0]

    nothing = width([])
    assert nothing == pytest.approx(2 * 1.28 * COMPLEXITY.spread, rel=0.35)
    assert nothing > width([3.0] * 15) > width([3.0] * 30) == pytest.approx(0, abs=1e-5)


def test_what_is_not_over_yet_lengthens_a_range():
    """Half of the epics take long, and these are still open: what is over looks quick."""
    quick = rows(np.full(40, 10 * 86400.0), np.full(40, 10 * 86400.0))
    open_still = [Row(60 * 86400.0, 10 * 86400.0, None, over=False)] * 40
    labels = [row.label for row in quick]
    without = learn(TRAJECTORY, quick, labels, None, follows=False).rule
    counted = learn(TRAJECTORY, [*quick, *open_still], labels, None, follows=False).rule
    assert counted["80"] != without["80"] or counted["p85"] > without["p85"]
    slower = [*quick, *rows(np.full(3, 90 * 86400.0), np.full(3, 10 * 86400.0), first=40)]
    alone = learn(TRAJECTORY, slower, labels, None, follows=False).rule["p85"]
    beside = learn(TRAJECTORY, [*slower, *open_still], labels, None, follows=False).rule["p85"]
    assert alone < math.log(2) and beside > math.log(8)


def test_levels_follow_what_was_held_and_stay_in_bounds():
    labels = list(POINTS) * 20
    answers = [3.0] * len(labels)
    names = ("low_50", "high_50", "low_80", "high_80", "p85")
    wide, narrow = dict(zip(names, (0, 99, 0, 99, 99), strict=True)), dict(zip(names, (6, 7, 6, 7, 0), strict=True))
    for said, direction in ((wide, -1), (narrow, 1)):
        before = Known({}, dict(PROMISED), BEGAN + datetime.timedelta(hours=99))
        heard = [replace(row, told=said) if n >= 100 else row for n, row in enumerate(rows(labels, answers))]
        learned = learn(COMPLEXITY, heard, labels, before, follows=True)
        assert learned.held["rows"] == len(labels) - 100
        for name, promised in PROMISED.items():
            assert (learned.levels[name] - promised) * direction > 0
            assert ranges.LEVELS[0] <= learned.levels[name] <= ranges.LEVELS[1]
    # Of somebody else's rule the levels are taken over, and nothing is held against it.
    learned = learn(COMPLEXITY, rows(labels, answers), labels, before, follows=False)
    assert learned.levels == before.levels and learned.held is None


def test_how_wide_labels_lie():
    labels = [float(n) for n in range(101)]
    assert central(labels) == pytest.approx(80) and spread(labels) == pytest.approx(80)
    skewed = [1.0] * 70 + [2.0] * 15 + [9.0] * 15
    assert spread(skewed) == 1 and central(skewed) == 8
    assert central([1.0] * 29) is None and spread([1.0] * 29) is None
    assert central([9.0] * 500 + [1.0] * 200) == 0


values = some.floats(0, 1e8)


@given(some.lists(some.tuples(values, values), max_size=80), some.sampled_from([COMPLEXITY, TRAJECTORY]), some.data())
def test_any_rows_give_a_rule_that_holds_the_answer(pairs, spec, data):
    open_still = [Row(low, high, None, over=False) for low, high in data.draw(some.lists(some.tuples(values, values)))]
    known = rows([label for label, _ in pairs], [answer for _, answer in pairs])
    labels = [row.label for row in known]
    rule = learn(spec, [*known, *open_still], labels, None, follows=False).rule
    json.dumps(rule, allow_nan=False)
    for name in ("50", "80"):
        low, high = rule[name]
        assert low < 0 < high
    assert rule["p85"] > 0


@given(some.lists(some.tuples(some.integers(0, 1), some.floats(0, 1)), max_size=80))
def test_any_probabilities_give_knots_in_order(pairs):
    knots = learn(
        REWORK, rows([label for label, _ in pairs], [given for _, given in pairs]), [], None, follows=False
    ).rule["knots"]
    assert knots == sorted(knots)
    for _, share, low_50, high_50, low_80, high_80 in knots:
        assert 0 <= low_80 <= low_50 <= share <= high_50 <= high_80 <= 1
    assert [knot[1] for knot in knots] == sorted(knot[1] for knot in knots)
