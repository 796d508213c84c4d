"""The figures that a backtest's page shows."""

from __future__ import annotations

import numpy as np
import pytest

from launcher import backtest_report


def test_a_trailing_mean_waits_for_enough_values_and_forgets_old_ones():
    values = [1.0] * 100 + [3.0] * 100
    found = backtest_report.trailing(values)
    assert found[:19] == [None] * 19 and found[19:100] == pytest.approx([1.0] * 81)
    assert found[149] == pytest.approx(2.0) and found[199] == pytest.approx(3.0)


def test_values_that_are_missing_are_left_out_of_a_trailing_mean():
    assert backtest_report.trailing([None] * 50 + [2.0] * 30)[-1] == 2.0
    assert backtest_report.trailing([None] * 200) == [None] * 200


def test_equal_answers_are_one_group_whatever_a_model_rounds():
    answers = np.array([2.0, 1.9999999, 2.0000001] * 10 + [5.0] * 30)
    truth = np.array([1.0] * 30 + [4.0, 5.0, 9.0] * 10)
    centres, middle, low, high = backtest_report.binned(answers, truth)
    assert centres == pytest.approx([2, 5]) and middle.tolist() == [1, 5]
    assert (low.tolist(), high.tolist()) == ([1, 4], [1, 9])
