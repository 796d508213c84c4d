"""What a replay came to, measured: errors beside simple forecasts, coverage with ties, promotions, ranking."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from include.foresight import hindsight, replay
from include.foresight.replay import Answer, Replayed, Step

BEGAN = datetime.datetime(2025, 1, 1)
HOUR = datetime.timedelta(hours=1)


def answer(n: int, label: float, served: float = 0.0, **other) -> Answer:
    """The n-th hour's row; its label is known at once."""
    values = {
        "entity_id": n,
        "moment": BEGAN + n * HOUR,
        "known_at": BEGAN + n * HOUR,
        "slice": "A",
        "known_labels": n,
        "simple": 0.0,
        "rung": "recent",
        "version": 1,
    }
    return Answer(**values | {"label": label, "served": served} | other)


def test_simple_forecasts_know_only_what_came_before():
    rows = [answer(n, label) for n, label in enumerate([1, 2, 9, 4, 5])]
    assert hindsight.simple_forecasts(rows, None, 3.0).tolist() == [3, 1, 1.5, 2, 3]
    assert hindsight.simple_forecasts(rows, 2, 3.0).tolist() == [3, 1, 1.5, 5.5, 6.5]


def test_a_label_that_comes_late_is_not_known_before():
    rows = [answer(n, label) for n, label in enumerate([1, 2, 9])]
    rows[0] = answer(0, 1, known_at=BEGAN + 1.5 * HOUR)
    assert hindsight.simple_forecasts(rows, None, 3.0).tolist() == [3, 3, 1.5]
    same = [answer(0, 1), answer(0, 7)]
    assert hindsight.simple_forecasts(same, None, 3.0).tolist() == [3, 3]


def test_never_worse_allows_one_per_cent_or_two_standard_errors():
    labels, simple = np.zeros(1000), np.ones(1000)
    assert hindsight.compared("", labels, simple * 1.009, simple).no_worse
    assert not hindsight.compared("", labels, simple * 1.011, simple).no_worse
    # One row of a hundred is off by 1 more: 0.01 on average, two standard errors of which are 0.02.
    once = simple[:100].copy()
    once[0] = 2.5
    found = hindsight.compared("", labels[:100], once, simple[:100])
    assert found.allowed == pytest.approx(2 * np.std(once - 1, ddof=1) / 10) and found.no_worse
    assert not hindsight.compared("", labels[:100], once + 0.05, simple[:100]).no_worse


@pytest.mark.parametrize(("label", "held"), [(1, 0), (2, 0.5), (3, 1), (5, 0.5), (6, 0)])
def test_a_label_on_the_border_counts_half(label: float, held: float):
    assert hindsight.inside(label, 2, 5) == held


def test_coverage_counts_ties_and_compares_the_width_with_the_last_labels():
    chance = np.random.default_rng(0)
    labels = chance.normal(size=2000)
    rows = [answer(n, label, intervals={80: (-1.2816, 1.2816)}) for n, label in enumerate(labels)]
    found = hindsight.coverage(rows)
    assert found.rows == 1999 and found.holds and abs(found.width - found.spread) < 0.1
    wide = [answer(n, label, intervals={80: (-9, 9)}) for n, label in enumerate(labels)]
    assert not hindsight.coverage(wide).holds and not hindsight.coverage(wide).narrow
    halves = [answer(n, n % 2, intervals={80: (0, 1)}) for n in range(100)]
    assert hindsight.coverage(halves).share == 0.5
    assert hindsight.coverage([answer(0, 1), answer(1, 1)]) is None


def test_few_rows_may_be_off_by_two_standard_errors():
    rows = [answer(n, 0 if n % 10 else 9, intervals={80: (-1, 1)}) for n in range(41)]
    found = hindsight.coverage(rows)
    assert found.share == 0.9 and found.allowed == pytest.approx(2 * 0.4 / 40**0.5) and found.holds
    many = [answer(n, 0 if n % 10 else 9, intervals={80: (-1, 1)}) for n in range(4001)]
    assert hindsight.coverage(many).allowed == 0.05 and not hindsight.coverage(many).holds


def test_a_promotion_is_false_when_the_simple_rung_would_have_done_as_well():
    def step(n: int, decision: str | None, version: int) -> Step:
        return Step(BEGAN + n * HOUR, decision, "boosted", version, "", 0.0)

    rows = [
        answer(1, 5, served=1, simple=1),
        answer(2, 5, served=5, simple=1, rung="boosted", version=2),
        answer(3, 5, served=0, simple=1, rung="boosted", version=3),
    ]
    steps = [step(0, None, 1), step(1, "promote", 2), step(2, "promote", 3), step(4, "promote", 4)]
    good, bad, unseen = hindsight.promotions(Replayed("a", "complexity", steps, rows, 0.0))
    assert (good.rows, good.gain, good.false) == (1, 4, False)
    assert (bad.gain, bad.false) == (-1, True)
    assert (unseen.rows, unseen.gain, unseen.false) == (0, None, False)
    assert hindsight.model_share(rows) == pytest.approx(2 / 3)


def test_ranking_counts_ties_half():
    rows = [answer(n, label, served=served, simple=0.5) for n, (label, served) in enumerate([(1, 0.9), (0, 0.1)])]
    assert hindsight.ranking(rows) == {"auc": 1, "simple_auc": 0.5, "ap": 1}
    assert hindsight.ranking([answer(0, 1), answer(1, 1)])["auc"] is None
    chance = np.random.default_rng(1)
    labels, given = (chance.random(300) < 0.3).astype(float), np.round(chance.random(300), 1)
    pairs = [(a > b) + 0.5 * (a == b) for a in given[labels == 1] for b in given[labels == 0]]
    assert hindsight.area(labels, given) == pytest.approx(np.mean(pairs))
    # By hand: at 0.9 one of one, at 0.5 two of three, the two rows of 0.5 share it.
    told = hindsight.average_precision(np.array([1, 0, 1, 0]), np.array([0.9, 0.5, 0.5, 0.1]))
    assert told == pytest.approx((1 + 2 / 3) / 2)


def test_steps_are_weeks_and_longer_ones_of_a_long_history():
    weeks = replay.moments(BEGAN, BEGAN + datetime.timedelta(weeks=4, days=3))
    assert weeks == [BEGAN + n * replay.WEEK for n in (1, 2, 3, 4)]
    years = replay.moments(BEGAN, BEGAN + datetime.timedelta(days=3650))
    assert len(years) == replay.MOST_STEPS - 1 and years[-1] < BEGAN + datetime.timedelta(days=3650)
    assert replay.moments(BEGAN, BEGAN + HOUR) == []
