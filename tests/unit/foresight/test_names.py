"""The names that other systems know us by: changing one loses what bears it."""

from __future__ import annotations

import re
from uuid import UUID

import pytest

from include.foresight import model_specs, names

RUN = UUID("0123abcd-0000-4000-8000-00000000ffff")


def test_projects_are_named_as_the_document_names_them():
    named = {model: names.project(model_specs.read(model).project_name, 7, 1) for model in ("complexity", "rework")}
    assert named == {
        "complexity": "issue_complexity_estimator_client_7_v1",
        "rework": "pr_rework_classifier_client_7_v1",
    }
    assert names.project(model_specs.read("trajectory").project_name, 7, 2) == "project_trajectory_forecast_client_7_v2"


def test_what_a_client_has():
    assert names.client_role(12) == "foresight_client_12"
    assert names.client_schema(12) == "ml_client_12"
    assert names.dag_id("acme") == "nightly__acme"


def test_a_table_is_named_by_its_run_and_its_view_after_it():
    assert names.training_table("complexity", RUN) == "complexity_0123abcd"
    assert names.ordered_view("complexity_0123abcd") == "complexity_0123abcd_ordered"


@pytest.mark.parametrize("model", model_specs.names())
def test_names_fit_into_postgresql_and_need_no_quotes(model: str):
    """pgml takes a relation's name unquoted; PostgreSQL cuts names after 63 bytes, and two would become one."""
    spec = model_specs.read(model)
    table = names.training_table(model, RUN)
    made = [table, names.ordered_view(table), names.client_schema(2**31 - 1), names.client_role(2**31 - 1)]
    made.append(names.project(spec.project_name, 2**31 - 1, spec.version))
    for name in made:
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name)


@pytest.mark.parametrize("make", [names.client_role, names.client_schema, lambda one: names.project("p", one, 1)])
def test_a_client_is_a_number(make):
    with pytest.raises(ValueError, match="invalid literal"):
        make('1"; drop schema ml; --')
