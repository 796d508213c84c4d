"""Against the definitions, spelled out pair by pair and row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.pgml_engine import metrics

# Few distinct scores, so that there are ties.
scored_rows = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8)), min_size=2, max_size=40)


@given(scored_rows)
def test_roc_auc_is_the_share_of_pairs_in_the_right_order(rows):
    truth, score = np.array([row[0] for row in rows]), np.array([row[1] for row in rows]) / 8
    pairs = [(p, n) for p in score[truth == 1] for n in score[truth == 0]]
    expected = sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs) if pairs else None
    assert metrics.roc_auc(truth, score) == (None if expected is None else pytest.approx(expected))


@given(scored_rows)
def test_log_loss_is_finite_and_by_the_definition(rows):
    truth, score = np.array([row[0] for row in rows]), np.array([row[1] for row in rows]) / 8
    margin = float(np.finfo(np.float32).eps)
    chances = [min(max(s if t else 1 - s, margin), 1 - margin) for t, s in zip(truth, score, strict=True)]
    expected = -sum(math.log(chance) for chance in chances) / len(rows)
    assert metrics.log_loss(truth, score) == pytest.approx(expected)


def test_binary_metrics_are_of_class_one():
    truth = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    positive = np.array([0.9, 0.8, 0.2, 0.7, 0.1, 0.1, 0.1, 0.1])
    found = metrics.classification(truth, np.column_stack([1 - positive, positive]))
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["accuracy"] == pytest.approx(6 / 8)
    assert found["mcc"] == pytest.approx((2 * 4 - 1 * 1) / math.sqrt(3 * 3 * 5 * 5))
    assert found["roc_auc"] == pytest.approx(14 / 15)


def test_with_three_classes_precision_and_recall_are_not_swapped():
    """PostgresML swaps them. Class 0 is guessed once too often, class 1 missed once, class 2 never guessed wrongly."""
    truth, guessed = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 0, 1, 2, 2])
    found = metrics.classification(truth, np.eye(3)[guessed])
    assert found["precision"] == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert found["recall"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert "roc_auc" not in found and "log_loss" not in found


def test_what_is_not_defined_is_none():
    alone = metrics.classification(np.array([0, 0]), np.array([[0.9, 0.1], [0.8, 0.2]]))
    assert alone["f1"] is None and alone["recall"] is None and alone["mcc"] is None and alone["roc_auc"] is None
    assert alone["accuracy"] == 1
    assert metrics.regression(np.array([2.0, 2.0]), np.array([1.0, 3.0]))["r2"] is None


def test_regression_metrics():
    found = metrics.regression(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 5.0]))
    assert found == {
        "r2": -1.0,
        "mean_absolute_error": pytest.approx(2 / 3),
        "mean_squared_error": pytest.approx(4 / 3),
    }


def test_calibration_by_the_definition():
    truth = np.array([1, 0, 1, 1])
    positive = np.array([0.95, 0.15, 0.35, 0.65])
    found = metrics.calibration(truth, np.column_stack([1 - positive, positive]))
    assert found["brier"] == pytest.approx((0.05**2 + 0.15**2 + 0.65**2 + 0.35**2) / 4)
    # Confidences .95 .85 .65 .65 in bins of a tenth: right, right, wrong, right.
    assert found["expected_calibration_error"] == pytest.approx((0.05 + 0.15 + abs(1.3 - 1)) / 4)
    assert found["log_loss"] == pytest.approx(-np.log([0.95, 0.85, 0.35, 0.65]).mean())
    certain = metrics.calibration(np.array([0, 1, 2]), np.eye(3))
    assert certain["brier"] == certain["expected_calibration_error"] == 0
    assert metrics.calibration(np.array([1, 2, 0]), np.eye(3))["brier"] == 2


def test_without_probabilities_the_decisions_and_a_score_are_judged():
    truth, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    found = metrics.decided(truth, predicted, 2, np.array([-2.0, 0.5, 0.2, 3.0]))
    assert found["accuracy"] == 0.75 and found["roc_auc"] == 0.75 and found["log_loss"] is None
    assert metrics.decided(truth, predicted, 2, None)["roc_auc"] is None
    assert "roc_auc" not in metrics.decided(truth, predicted, 3, None)
    assert metrics.confusion(truth, predicted, 2).tolist() == [[1, 1], [0, 2]]
