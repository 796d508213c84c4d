"""Features: their hash, their parameters, and the names under which a run's table is found."""

from __future__ import annotations

import datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some

from include.foresight import features, model_specs, names
from include.foresight.features import CONTRACT, TrainingTable, feature_hash
from include.foresight.sql import ROOT

AS_OF = datetime.datetime(2024, 5, 31)
COMPLEXITY = model_specs.read("complexity")

column_names = some.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)


@given(some.lists(column_names, min_size=2, max_size=6, unique=True), some.randoms(use_true_random=False))
def test_the_hash_tells_names_and_their_order(found: list[str], chance):
    other = found[:]
    chance.shuffle(other)
    assert (feature_hash(other) == feature_hash(found)) == (other == found)


def test_the_hash_tells_where_a_name_ends():
    assert feature_hash(["ab", "c"]) != feature_hash(["a", "bc"])
    assert feature_hash(["a", "b"]) != feature_hash(["a"])


def test_the_hash_of_a_model_in_service_never_changes():
    """A stored hash is compared with one that is made today: another way of making it refuses every model."""
    assert feature_hash(("history", "recent_median")) == "505bb84a5a7d1c71"


def test_training_and_scoring_differ_in_two_parameters():
    training = features.parameters(COMPLEXITY, 7, AS_OF, scoring=False)
    scoring = features.parameters(COMPLEXITY, 7, AS_OF, scoring=True, entity_ids=(3, 1))
    different = {name for name in training if training[name] != scoring[name]}
    assert different == {"scoring", "entity_ids"}
    assert (training["entity_ids"], scoring["entity_ids"]) == (None, [3, 1])
    assert training["cap"] == 21 and training["prior"] == 3.0 and training["client_id"] == 7


def test_nobody_asked_for_is_not_everybody():
    assert features.parameters(COMPLEXITY, 7, AS_OF, scoring=True, entity_ids=())["entity_ids"] == []


@pytest.mark.parametrize("model", model_specs.names())
def test_the_parameters_are_those_that_the_sql_asks_for(model: str):
    spec = model_specs.read(model)
    given_values = features.parameters(spec, 7, AS_OF, scoring=False)
    assert [name for name in given_values if f"%({name})s" not in spec.feature_sql] == []
    # The composed SQL keeps the driver's placeholders and has no hole.
    assert features.select(spec).as_string(None) == spec.feature_sql


def table(name: str = "complexity_0123abcd", feature_names: tuple[str, ...] = ("history",)) -> TrainingTable:
    return TrainingTable("ml_client_7", name, feature_names, 100, 20, 0, 50, 10, {}, AS_OF, "1")


def test_pgml_is_given_the_ordered_view_unquoted():
    assert table().relation == "ml_client_7.complexity_0123abcd_ordered"
    assert table().identifier.as_string(None) == '"ml_client_7"."complexity_0123abcd"'
    run_id = UUID("0123abcd-0000-4000-8000-00000000ffff")
    assert table().name == names.training_table("complexity", run_id)


def test_a_table_has_the_hash_of_its_features():
    assert table(feature_names=("a", "b")).feature_hash == feature_hash(["a", "b"])


def test_features_are_listed_as_identifiers_in_their_order():
    assert features.listed(["b", 'a"']).as_string(None) == '"b", "a"""'


def test_the_contract_is_the_documents():
    readme = (ROOT / "features" / "README.md").read_text(encoding="utf-8")
    places = [readme.find(f"`{name}`") for name in CONTRACT]
    assert -1 not in places
