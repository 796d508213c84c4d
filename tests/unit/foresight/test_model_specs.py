"""A model's spec: what is refused in words, what a client may override, and when its digest changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from include.foresight import model_specs
from include.foresight.errors import ConfigurationError, UnknownModel
from include.foresight.model_specs import ModelSpec

GIVEN: dict[str, Any] = {
    "model": "complexity",
    "title": "Issue complexity",
    "project_name": "issue_complexity_estimator",
    "version": 1,
    "task": "regression",
    "entity": "issue",
    "unit": "points",
    "algorithm": "xgboost",
    "measure": "mae",
    "prior": 3.0,
    "test_size": 0.25,
    "min_train_rows": 100,
    "min_test_rows": 20,
    "settings": {"window_months": 18, "cap": 21},
    "bounds": {"mae": 3.0},
}


def spec(**other: Any) -> ModelSpec:
    return ModelSpec(**GIVEN | other)


@pytest.mark.parametrize("model", model_specs.names())
def test_what_is_shipped_can_be_read(model: str):
    found = model_specs.read(model)
    assert found.model == model
    assert found.feature_sql.startswith("--")


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("task", "ranking", "task must be one of regression, classification, got 'ranking'"),
        ("entity", "epic", "entity must be one of issue, pull_request, got 'epic'"),
        ("target", "sqrt", "target must be one of identity, log1p, got 'sqrt'"),
        ("measure", "r2", "measure must be one of mae, median_absolute_log_error, auc, got 'r2'"),
        ("test_size", 0, "test_size must be between 0 and 1, got 0"),
        ("test_size", 1.0, "test_size must be between 0 and 1, got 1.0"),
        ("min_train_rows", 1, "min_train_rows and min_test_rows must be 2 or more, got (1, 20)"),
        ("min_test_rows", 1, "min_train_rows and min_test_rows must be 2 or more, got (100, 1)"),
        ("grades", {"low": 0.6, "high": 0.3}, "grades must be limits in rising order, got {'low': 0.6, 'high': 0.3}"),
    ],
)
def test_a_wrong_spec_is_refused_with_model_rule_and_value(name: str, value: Any, rule: str):
    with pytest.raises(ConfigurationError) as refused:
        spec(**{name: value})
    assert str(refused.value) == f"model 'complexity': {rule}"


def test_a_client_overrides_settings_and_bounds_of_its_own():
    own = spec().for_client({"complexity": {"settings": {"cap": 40}, "bounds": {"mae": 2.5}}, "rework": {"x": {}}})
    assert own.settings == {"window_months": 18, "cap": 40}
    assert own.bounds == {"mae": 2.5}
    assert spec().settings["cap"] == 21


def test_without_overrides_the_spec_is_the_same():
    assert spec().for_client({}) == spec().for_client({"complexity": {}}) == spec()


@pytest.mark.parametrize(
    ("own", "rule"),
    [
        ({"settings": {"capp": 3}}, "overrides capp, which the spec does not have"),
        ({"bounds": {"auc": 0.7}}, "overrides auc, which the spec does not have"),
        ({"hyperparams": {"max_depth": 3}}, "overrides hyperparams, which the spec does not have"),
        ({"settings": {"cap": "40"}}, "a client's cap must be a number, got '40'"),
        ({"settings": {"cap": True}}, "a client's cap must be a number, got True"),
        ({"settings": 40}, "a client's overrides must be objects"),
        (40, "a client's overrides must be objects"),
    ],
)
def test_an_override_that_means_nothing_is_refused(own: Any, rule: str):
    with pytest.raises(ConfigurationError, match="^model 'complexity': ") as refused:
        spec().for_client({"complexity": own})
    assert rule in str(refused.value)


def test_an_override_of_a_model_that_is_not_there_is_refused():
    with pytest.raises(ConfigurationError, match="overrides 'complexty': there are the models complexity, "):
        model_specs.chosen(None, {"complexty": {"settings": {"cap": 3}}})
    assert model_specs.chosen(("rework",), {"checks": {}})


def test_what_is_chosen_is_all_or_what_was_named_as_the_client_has_it():
    assert [one.model for one in model_specs.chosen(None, {})] == list(model_specs.names())
    (one,) = model_specs.chosen(("complexity",), {"complexity": {"settings": {"cap": 13}}})
    assert one.settings["cap"] == 13
    assert model_specs.read("complexity").settings["cap"] == 21


def test_an_unknown_model_is_refused_with_those_that_there_are():
    with pytest.raises(UnknownModel, match="there is no model '../secrets': there are complexity, rework, trajectory"):
        model_specs.read("../secrets")


CHANGES: list[Callable[[ModelSpec], ModelSpec]] = [
    lambda one: replace(one, hyperparams={"max_depth": 3}),
    lambda one: replace(one, version=2),
    lambda one: replace(one, target="log1p"),
    lambda one: replace(one, prior=2.0),
    lambda one: one.for_client({"complexity": {"settings": {"cap": 22}}}),
    lambda one: one.for_client({"complexity": {"bounds": {"mae": 2.0}}}),
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_changes_with_everything_that_is_stated(change: Callable[[ModelSpec], ModelSpec]):
    assert change(spec()).digest != spec().digest


def test_the_digest_does_not_depend_on_the_order_of_what_is_stated():
    other = spec(settings={"cap": 21, "window_months": 18})
    assert other.digest == spec().digest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models of the test's own; `read` keeps what it has read, so its names are used once."""
    monkeypatch.setattr(model_specs, "FEATURES", tmp_path)
    return tmp_path


TOML = """
title = "Reviews"
project_name = "review_time"
version = 1
task = "regression"
entity = "pull_request"
unit = "hours"
measure = "mae"
algorithm = "xgboost"
prior = 8.0
test_size = 0.2
min_train_rows = 50
min_test_rows = 10
"""


def test_a_further_model_is_two_files(folder: Path):
    (folder / "review_time.toml").write_text(TOML)
    (folder / "review_time.sql").write_text("-- rows\nselect 1\n")
    assert model_specs.names() == ("review_time",)
    (one,) = model_specs.chosen(None, {})
    assert (one.model, one.unit, one.feature_sql) == ("review_time", "hours", "-- rows\nselect 1\n")


def test_the_digest_changes_with_the_feature_sql(folder: Path):
    (folder / "complexity.sql").write_text("-- rows\nselect 1\n")
    before = spec().digest
    (folder / "complexity.sql").write_text("-- rows\nselect 2\n")
    assert spec().digest != before


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("mistyped", TOML + "min_tests = 3\n", r"mistyped\.toml: unknown keys min_tests"),
        ("incomplete", TOML.replace('unit = "hours"\n', ""), r"incomplete\.toml: .*'unit'"),
    ],
)
def test_a_file_with_a_mistake_is_named(folder: Path, name: str, text: str, rule: str):
    (folder / f"{name}.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=rule):
        model_specs.read(name)
