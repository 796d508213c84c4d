"""Ways of learning, told apart by what they would have been off by."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from include.foresight import folds, model_specs, pgml, training
from include.foresight.folds import Candidate, Tried
from include.foresight.rungs import BOOSTED, LINEAR

COMPLEXITY, REWORK = model_specs.read("complexity"), model_specs.read("rework")


def test_a_regression_may_learn_what_the_simple_rung_leaves():
    found = training.candidates(COMPLEXITY, ours=True)
    assert [(one.rung, one.relative) for one in found] == [(BOOSTED, True), (BOOSTED, False), (LINEAR, True)]
    assert found[1].hyperparams == COMPLEXITY.hyperparams
    assert found[0].hyperparams | {"base_score": 0.5} == {**COMPLEXITY.hyperparams, **COMPLEXITY.residual}
    assert "base_score" not in found[0].hyperparams, "where a label begins is no ratio's beginning"
    assert [one.name for one in found] == [pgml.RELATIVE, pgml.LABEL, pgml.RELATIVE]
    assert [one.target(COMPLEXITY) for one in found] == ["log_ratio", "log1p", "log_ratio"]


def test_a_class_is_learned_as_it_is():
    found = training.candidates(REWORK, ours=True)
    assert [(one.rung, one.relative, one.name) for one in found] == [
        (BOOSTED, False, pgml.LABEL),
        (LINEAR, False, pgml.LABEL),
    ]


def test_folds_weigh_as_many_rows_as_they_have():
    one = Tried(
        Candidate(BOOSTED, "xgboost", {}),
        [{"rows": 30, "error": 1.0, "simple": 2.0}, {"rows": 10, "error": 3.0, "simple": 2.0}],
    )
    assert one.error == pytest.approx(1.5)
    assert one.spread == pytest.approx(math.sqrt(2))
    assert Tried(one.candidate, one.folds[:1]).spread is None


def test_postgresml_is_not_asked_for_what_it_refuses():
    """It begins at 0.5 by itself; absolute errors it cannot learn from."""
    absolute, label, _ = training.candidates(COMPLEXITY, ours=True)
    assert (absolute.hyperparams["objective"], label.hyperparams["base_score"]) == ("reg:absoluteerror", 0.5)
    for one in training.candidates(COMPLEXITY, ours=False):
        assert not {"objective", "base_score"} & set(one.hyperparams)


def test_less_of_what_a_model_says_is_nearer_to_the_simple_answer():
    simple, answers = np.array([1.0, 1.0]), np.array([7.0, 3.0])
    one = Candidate(BOOSTED, "xgboost", {}, relative=True)
    assert one.taken(simple, answers).tolist() == [7, 3]
    assert replace(one, share=0.5).taken(simple, answers) == pytest.approx([3, math.sqrt(8) - 1])
    assert replace(one, share=0).taken(simple, answers) == pytest.approx([1, 1])
    assert replace(one, steps=(1, 2, 5, 8)).taken(simple, answers).tolist() == [8, 2]


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        ((), "log_ratio"),
        ((0.5, 1, 2), "log_ratio__0p5_1_2"),
        ((1, 2, 3, 5, 8, 13, 21, 34, 55, 100), "log_ratio__1_2_3_5_8_13_21_34_55_100"),
        (tuple(range(100, 120)), None),
        ((1 / 3,), None),
        ((-1, 1), None),
        ((1e9,), None),
    ],
)
def test_the_name_of_a_label_tells_its_steps(steps, name):
    assert pgml.relative_name(steps) == name


def test_an_entity_that_has_outlived_its_prediction_is_an_error_of_at_least_that():
    day = 86400.0
    assert folds.at_least_off([10 * day, 10 * day], [20 * day, 20 * day]) == 0
    assert folds.at_least_off([10 * day, 20 * day], [20 * day, 10 * day]) == pytest.approx(math.log(2) / 2)
    assert folds.at_least_off([day], [0.0]) == pytest.approx(math.log(day))


def test_what_a_label_is_learned_as_is_composed():
    text = COMPLEXITY and pgml.Scale("regression", "log1p").relative_label(0.5).as_string(None)
    learned = eval(text, {"ln": math.log}, {"label": 7.0, "simple": 3.0})
    assert learned == pytest.approx(0.5 * math.log(2))
    back = {"greatest": max, "least": min, "exp": math.exp}
    undone = pgml.RELATIVE_UNDONE.as_string(None)
    assert eval(undone, back, {"answer": math.log(2), "simple": 3.0}) == pytest.approx(7.0)
    assert eval(undone, back, {"answer": 50.0, "simple": 3.0}) == pytest.approx(4 * math.exp(3) - 1)
