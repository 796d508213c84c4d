from __future__ import annotations

import pytest

from include.pgml_engine import algorithms
from include.pgml_engine.errors import NotSupported, PgmlError


def xgboost(task="regression", **given):
    return algorithms.named("xgboost").settings(task, given)


def lightgbm(task="regression", **given):
    return algorithms.named("lightgbm").settings(task, given)


def linear(task="regression", **given):
    return algorithms.named("linear").settings(task, given)


def test_both_names_of_postgresml_reach_xgboost():
    for rounds, rate in (("n_estimators", "learning_rate"), ("boost_rounds", "eta")):
        settings = xgboost(**{rounds: 150, rate: 0.05, "max_depth": 5, "subsample": 0.8})
        assert settings.rounds == 150
        assert settings.parameters["eta"] == 0.05
        assert settings.parameters["max_depth"] == 5 and isinstance(settings.parameters["max_depth"], int)
        assert settings.parameters["subsample"] == 0.8


def test_defaults_are_postgresmls():
    assert xgboost().rounds == 10
    assert xgboost().parameters == {"objective": "reg:squarederror", "seed": 0, "nthread": 1}
    assert xgboost("classification").parameters["objective"] == "multi:softprob"
    # Where XGBoost itself takes the mean, PostgresML begins at 0.5, which can be asked for.
    assert xgboost(base_score=0.5).parameters["base_score"] == 0.5
    assert lightgbm().rounds == 100


def test_lightgbm_trains_as_many_rounds_as_were_asked_for_by_either_name():
    assert lightgbm(num_iterations=7).rounds == lightgbm(n_estimators=7).rounds == 7
    assert lightgbm(feature_fraction=0.9, num_leaves=31).parameters["feature_fraction"] == 0.9


def test_one_thread_whatever_is_asked():
    assert xgboost(nthread=1).parameters["nthread"] == 1
    assert lightgbm().parameters["num_threads"] == 1
    for settings in (lambda: xgboost(nthread=4), lambda: lightgbm(n_jobs=-1), lambda: lightgbm(num_threads=0)):
        with pytest.raises(PgmlError, match="must be at (most|least) 1"):
            settings()


@pytest.mark.parametrize("settings", [xgboost, lightgbm, linear])
def test_an_unknown_name_is_named_with_those_that_are_known(settings):
    with pytest.raises(PgmlError, match='unknown hyperparameter "depht" .* known are: .*'):
        settings(depht=3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_depth": 6.5}, '"max_depth" of xgboost must be a whole number, got 6.5'),
        ({"max_depth": "6"}, '"max_depth" of xgboost must be a whole number, got "6"'),
        ({"max_depth": True}, '"max_depth" of xgboost must be a whole number, got true'),
        ({"eta": None}, '"eta" of xgboost must be a number, got null'),
        ({"eta": -1}, '"eta" of xgboost must be at least 0, got -1'),
        ({"subsample": 1.5}, '"subsample" of xgboost must be at most 1, got 1.5'),
        (
            {"tree_method": "gpu_hist"},
            '"tree_method" of xgboost must be one of auto, exact, approx, hist, got "gpu_hist"',
        ),
        ({"n_estimators": 0}, '"n_estimators" of xgboost must be at least 1, got 0'),
        ({"eta": 0.1, "learning_rate": 0.2}, '"eta" and "learning_rate" of xgboost are the same thing'),
        ({"objective": "multi:softprob"}, "multi:softprob is not an objective for regression"),
        ({"objective": ["reg:linear"]}, '"objective" of xgboost must be one of'),
    ],
)
def test_a_refusal_says_the_thing_the_rule_and_the_value(given, words):
    with pytest.raises(PgmlError) as refused:
        xgboost(**given)
    assert words in str(refused.value)


def test_what_the_library_no_longer_has_is_refused_in_words():
    with pytest.raises(NotSupported, match='"sketch_eps" of xgboost is not supported: XGBoost 3'):
        xgboost(sketch_eps=0.1)


def test_a_whole_number_may_be_written_with_a_point():
    assert xgboost(max_depth=6.0).parameters["max_depth"] == 6


@pytest.mark.parametrize(
    "name", ["forcedsplits_filename", "input_model", "output_model", "machine_list_filename", "config"]
)
def test_lightgbm_takes_no_name_of_a_file(name):
    with pytest.raises(PgmlError, match="unknown hyperparameter"):
        lightgbm(**{name: "/etc/passwd"})


def test_the_seed_of_a_training_is_the_callers():
    for settings, library in ((xgboost, "xgboost"), (lightgbm, "lightgbm")):
        assert algorithms.named(library).seed(settings(random_state=7)) == 7
        assert algorithms.named(library).seed(settings()) == 0
    assert algorithms.named("linear").seed(linear("classification", random_state=7)) == 7


def test_an_algorithm_of_postgresml_that_we_lack_is_refused_with_those_we_have():
    with pytest.raises(NotSupported, match='algorithm "kmeans" is not supported .* linear, xgboost, lightgbm, .*knn'):
        algorithms.named("kmeans")


def test_a_random_forest_of_xgboost_is_one_round_of_many_trees():
    forest = algorithms.named("xgboost_random_forest")
    settings = forest.settings("regression", {"n_estimators": 20, "max_depth": 3})
    assert settings.rounds == 1 and settings.parameters["num_parallel_tree"] == 20
    assert [settings.parameters[name] for name in ("eta", "subsample", "max_depth")] == [1, 0.8, 3]
    with pytest.raises(PgmlError, match='unknown hyperparameter "boost_rounds" for xgboost_random_forest'):
        forest.settings("regression", {"boost_rounds": 3})


def test_catboost_is_refused_by_the_name_of_its_package_where_it_is_not_installed():
    with pytest.raises(NotSupported, match="needs the Python package catboost"):
        algorithms.named("catboost").settings("regression", {})


def test_aliases_are_unambiguous():
    for module in (algorithms.xgboost, algorithms.lightgbm):
        names = [name for known in module.KNOWN for name in (known.name, *known.aliases)]
        assert len(names) == len(set(names))
