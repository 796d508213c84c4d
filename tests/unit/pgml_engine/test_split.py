from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.pgml_engine.errors import PgmlError
from include.pgml_engine.split import SAMPLINGS, folds, order, rows_to_test, split


@pytest.mark.parametrize(
    ("rows", "test_size", "expected"),
    [(10, 0.25, 3), (10, 0.2, 2), (100, 0.25, 25), (10, 4, 4), (10, 4.9, 4), (3, 0.5, 2)],
)
def test_up_to_one_is_a_share_rounded_and_above_one_a_number_of_rows(rows, test_size, expected):
    assert rows_to_test(rows, test_size) == expected


@pytest.mark.parametrize(
    ("rows", "test_size", "words"),
    [(10, 1.0, "no row to train on"), (10, 10, "no row to train on"), (10, 99, "no row to train on")]
    + [(1, 0.25, "no row to test on"), (10, 0.01, "no row to test on"), (10, 0, "above 0"), (10, -1, "above 0")]
    + [(10, float("nan"), "above 0")],
)
def test_a_split_that_leaves_one_side_empty_is_refused_with_the_size(rows, test_size, words):
    with pytest.raises(PgmlError, match=words):
        rows_to_test(rows, test_size)


@given(
    labels=st.lists(st.integers(0, 3), min_size=2, max_size=200),
    sampling=st.sampled_from(SAMPLINGS),
    task=st.sampled_from(["regression", "classification"]),
    seed=st.integers(0, 5),
)
def test_every_row_is_on_one_side_and_the_same_side_every_time(labels, sampling, task, seed):
    labels = np.array(labels, dtype=np.float32)
    training, testing = split(labels, 0.5, sampling, task, seed)
    assert sorted([*training, *testing]) == list(range(len(labels)))
    assert len(testing) == rows_to_test(len(labels), 0.5)
    again = split(labels, 0.5, sampling, task, seed)
    assert np.array_equal(training, again[0]) and np.array_equal(testing, again[1])


def test_last_takes_the_last_rows():
    training, testing = split(np.zeros(10), 3, "last", "regression", 0)
    assert list(testing) == [7, 8, 9] and list(training) == list(range(7))


def test_random_depends_on_the_seed():
    labels = np.zeros(100)
    first, second = (split(labels, 0.5, "random", "regression", seed)[1] for seed in (1, 2))
    assert not np.array_equal(first, second)


@given(rare=st.integers(2, 40), common=st.integers(50, 400), test_size=st.floats(0.1, 0.5))
def test_stratified_gives_each_class_its_share(rare, common, test_size):
    """PostgresML's own stratification leaves a rare class out of the test rows."""
    labels = np.array([1] * rare + [0] * common, dtype=np.float32)
    tested = rows_to_test(len(labels), test_size)
    _, testing = split(labels, test_size, "stratified", "classification", 0)
    share = tested / len(labels)
    assert len(testing) == tested
    assert abs((labels[testing] == 1).sum() - rare * share) <= 1


def test_stratified_keeps_a_single_row_of_a_class_for_training():
    labels = np.array([1] + [0] * 99, dtype=np.float32)
    training, _ = split(labels, 0.25, "stratified", "classification", 0)
    assert 1 in labels[training]


def test_stratified_regression_covers_the_range_on_both_sides():
    labels = np.random.RandomState(0).lognormal(0, 2, 1000).astype(np.float32)
    _, testing = split(labels, 0.2, "stratified", "regression", 0)
    deciles = np.searchsorted(np.sort(labels), labels[testing]) * 10 // 1000
    assert np.all(np.bincount(deciles, minlength=10) == 20)


def test_folds_are_pieces_of_the_training_rows_and_each_row_judges_once():
    labels = np.array([0, 1] * 50)
    ordered = order(labels, "stratified", "classification", 3)
    training = np.sort(ordered[:80])
    pieces = folds(ordered, training, 4)
    assert sorted(np.concatenate([judging for _, judging in pieces]).tolist()) == training.tolist()
    for learning, judging in pieces:
        assert len(judging) == 20 and not set(learning) & set(judging)
        assert sorted([*learning, *judging]) == training.tolist()
        assert labels[judging].sum() == 10


def test_in_order_of_time_the_latest_rows_are_tested_and_of_equals_the_later():
    moments = np.array([5.0, 1.0, 9.0, 9.0, 2.0])
    training, testing = split(np.zeros(5), 2, "random", "regression", 0, moments)
    assert (training.tolist(), testing.tolist()) == ([0, 1, 4], [2, 3])
