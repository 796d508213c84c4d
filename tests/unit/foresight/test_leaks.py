"""The figures by which a feature gives itself away."""

from __future__ import annotations

import numpy as np
import pytest

from include.foresight import leaks
from include.foresight.leaks import Leak

CHANCE = np.random.default_rng(5)


def test_the_labels_themselves_order_the_labels_as_far_as_ties_allow():
    labels = CHANCE.integers(1, 5, 400).astype(float)
    perfect = labels + CHANCE.uniform(0, 0.5, 400)
    values = np.column_stack([perfect, -perfect, CHANCE.normal(size=400), np.ones(400)])
    shares = np.abs(leaks._rank_correlations(values, labels)) / leaks._allowed(labels)
    assert shares[:2] == pytest.approx([1, 1], abs=0.01)
    assert shares[2] < 0.3 and shares[3] == 0


def test_areas_are_the_share_of_pairs_in_order_either_way_round():
    labels = np.array([0.0] * 10 + [1.0] * 10)
    values = np.column_stack([labels, -labels, np.ones(20), np.arange(20) % 2])
    assert leaks._areas(values, labels) == pytest.approx([1, 1, 0.5, 0.5])
    assert leaks._areas(values, np.zeros(20)).tolist() == [0] * 4


def probe(width: int) -> leaks._Probe:
    """Without servers: what it has read is put there by hand."""
    made = leaks._Probe.__new__(leaks._Probe)
    made.names = tuple(f"f{n}" for n in range(width))
    made.values = CHANCE.normal(size=(200, width))
    return made


def test_a_change_of_most_entities_tells_and_one_of_few_only_with_the_label():
    labels = CHANCE.normal(size=60)
    changes = np.zeros((60, 5))
    changes[:, 0] = CHANCE.normal(size=60)  # all, whatever became of them
    changes[:20, 1] = CHANCE.normal(size=20)  # a third, by chance
    # A third, with the label: those that are above the others.
    changes[np.argsort(labels)[-20:], 2] = 1.0
    changes[:5, 3] = 1.0  # a few
    assert [leak.feature for leak in probe(5)._telling(changes, labels)] == ["f0", "f2"]


def test_features_that_never_change_are_left_alone():
    assert probe(3)._telling(np.zeros((60, 3)), CHANCE.normal(size=60)) == []


def test_what_is_missing_is_like_no_value():
    found = leaks._matrix([[1.0, None], [2.0, 3.0]], 2)
    assert found[0, 1] == leaks.MISSING and found[1].tolist() == [2, 3]
    assert leaks._matrix([], 4).shape == (0, 4)


def test_the_reason_names_features_and_evidence_and_counts_the_rest():
    told = leaks.reason([Leak(f"f{n}", leaks.POWER, f"f{n} knows") for n in range(7)])
    assert "f0 knows; f1 knows" in told and told.endswith("and 2 more features")
