"""The adapter's own part: scales, composition of its statements, which engine answers. Calls are tested on servers."""

from __future__ import annotations

import math

import pytest

from include.foresight import features, model_specs, pgml
from include.foresight.pgml import LEARNED, UNDONE, Scale
from include.foresight.sql import statement


def test_every_target_of_a_spec_can_be_learned_and_undone():
    assert set(LEARNED) == set(UNDONE) == set(model_specs.TARGETS)


def test_a_classification_learns_whole_numbers_and_answers_with_probabilities():
    scale = Scale("classification", "identity")
    assert scale.label.as_string(None) == "label::integer"
    assert scale.probabilities
    assert scale.undone.as_string(None) == "answer"


def test_a_regression_on_a_log_scale_undoes_it():
    scale = Scale("regression", "log1p")
    assert scale.label.as_string(None) == "ln(1 + label)"
    assert not scale.probabilities
    undone = eval(  # the same expression, in Python
        scale.undone.as_string(None), {"greatest": max, "least": min, "exp": math.exp}, {"answer": math.log(1 + 8.0)}
    )
    assert undone == pytest.approx(8.0)


def test_scales_are_the_specs():
    assert features.scale(model_specs.read("rework")) == Scale("classification", "identity")
    assert features.scale(model_specs.read("trajectory")) == Scale("regression", "log1p")


def test_the_statements_compose_with_odd_names():
    made = statement(
        "pgml/predictions",
        undone=Scale("regression", "identity").undone,
        relative=pgml.RELATIVE_UNDONE,
        rows='ro"ws',
        features=pgml._listed(['fea"ture', "b"]),
    ).as_string(None)
    assert 'array["fea""ture", "b"]::real[] order by position' in made
    assert made.count('from "ro""ws"') == 1


@pytest.mark.parametrize(
    ("version", "ours"), [("2.10.0+pgml_engine.0.1.0", True), ("2.10.0 (2d2352d4)", False), ("2.7.13", False)]
)
def test_the_engine_is_told_by_its_version(version: str, ours: bool):
    assert pgml.is_ours(version) is ours
