from __future__ import annotations

import pytest

from include.pgml_engine.errors import BadData, PgmlError
from include.pgml_engine.search import Plan, Trial, plan, run

GRID = {"depth": [1, 2, 3], "eta": [0.1, 0.2]}


def test_a_grid_is_every_combination_and_5_folds():
    made = plan({}, "grid", GRID, {}, 0)
    assert made.folds == 5
    assert made.varied == tuple({"depth": d, "eta": e} for d in (1, 2, 3) for e in (0.1, 0.2))


def test_without_a_word_for_search_all_are_tried_on_one_fold():
    assert plan({}, None, GRID, {}, 0).folds == 1 and len(plan({}, None, GRID, {}, 0).varied) == 6
    assert plan({"eta": 1}, None, {}, {}, 0) is None
    assert plan({}, None, {}, {"cv": 3}, 0) is None


def test_random_takes_some_without_repeating_one_and_the_same_for_a_seed():
    large = {name: list(range(1000)) for name in "abcdefgh"}
    first, again, other = (plan({}, "random", large, {"n_iter": 7}, seed).varied for seed in (1, 1, 2))
    assert first == again != other and len({tuple(each.values()) for each in first}) == 7
    assert list(first[0]) == list(large)
    assert len(plan({}, "random", GRID, {}, 0).varied) == 6
    some = plan({}, "random", GRID, {"n_iter": 2, "cv": 3}, 0)
    assert len(some.varied) == 2 and some.folds == 3
    assert all(each in plan({}, "grid", GRID, {}, 0).varied for each in some.varied)


@pytest.mark.parametrize(
    ("fixed", "search", "params", "args", "words"),
    [
        ({"eta": 1}, "grid", {"eta": [1]}, {}, '"eta" stands in both hyperparams and search_params'),
        ({}, "grid", {"eta": 1}, {}, '"eta" must be an array of values'),
        ({}, "grid", {"eta": []}, {}, '"eta" must be an array of values'),
        ({}, "grid", {}, {}, "search grid needs search_params"),
        ({}, "grid", GRID, {"folds": 2}, 'unknown key "folds"'),
        ({}, "grid", GRID, {"cv": True}, "cv must be a whole number"),
        ({}, "grid", GRID, {"n_iter": 0}, "n_iter must be a whole number of at least 1, got 0"),
        ({}, "grid", {"a": list(range(200)), "b": list(range(200))}, {}, "40000 combinations; a grid has at most"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(fixed, search, params, args, words):
    with pytest.raises(PgmlError, match=words):
        plan(fixed, search, params, args, 0)


def test_the_best_mean_wins_and_not_the_best_fold():
    """PostgresML takes the single best fold."""
    scores = {1: [0.9, 0.1], 2: [0.6, 0.6], 3: [None, 1.0]}
    best, results = run(Plan(({"d": 1}, {"d": 2}, {"d": 3}), 2), 2, lambda f, v: Trial(scores[v["d"]][f], 1.0, 2.0))
    assert best == {"d": 2} and results["best_index"] == 1
    assert results["params"] == [{"d": 1}, {"d": 2}, {"d": 3}] and results["n_splits"] == 2
    assert results["mean_test_score"] == [0.5, 0.6, None] and results["std_test_score"][0] == pytest.approx(0.4)
    assert results["split0_test_score"] == [0.9, 0.6, None] and results["split1_test_score"] == [0.1, 0.6, 1.0]
    assert results["param_d"] == [1, 2, 3] and results["mean_fit_time"] == [1, 1, 1]
    assert results["mean_score_time"] == [2, 2, 2]


def test_no_score_at_all_is_an_error():
    with pytest.raises(BadData, match="no candidate"):
        run(Plan(({"d": 1},), 1), 1, lambda fold, varied: Trial(None, 0, 0))
