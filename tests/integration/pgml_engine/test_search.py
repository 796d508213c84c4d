"""Searches: what is tried, on which rows, and what is left of it."""

from __future__ import annotations

import json

import psycopg
import pytest


@pytest.fixture(scope="module", autouse=True)
def relation(warm):
    warm.execute(
        "create table public.hills as select x, sin(6 * x) + 0.3 * random() as y, (sin(6 * x) > 0)::int as label "
        "from (select setseed(0.6)) as seed, lateral (select random() as x from generate_series(1, 300)) as r"
    )
    warm.execute("create view public.hills_y as select x, y from public.hills")
    warm.execute("create view public.hills_label as select x, label from public.hills")


def search(connection, algorithm="xgboost", task="regression", **named):
    relation, label = ("hills_y", "y") if task == "regression" else ("hills_label", "label")
    values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in named.items()}
    call = ", ".join(f"{name} => %({name})s" for name in values)
    connection.execute(
        f"select pgml.train('hills {task}', '{task}', '{relation}', '{label}', '{algorithm}', {call})", values
    )
    return connection.execute(
        "select hyperparams, metrics, search, search_params, search_args from pgml.models order by id desc limit 1"
    ).fetchone()


PARAMS = {"max_depth": [1, 3], "eta": [0.05, 0.3, 0.6]}


@pytest.mark.parametrize(("task", "target"), [("regression", "r2"), ("classification", "f1")])
def test_the_best_is_found_refitted_and_tested(warm, task, target):
    hyperparams, metrics, word, params, args = search(
        warm, task=task, search="grid", search_params=PARAMS, search_args={"cv": 4}, hyperparams={"n_estimators": 10}
    )
    results = metrics["search_results"]
    assert (word, params, args) == ("grid", PARAMS, {"cv": 4})
    assert results["n_splits"] == 4 and len(results["params"]) == 6 and "split3_test_score" in results
    assert results["mean_test_score"][results["best_index"]] == max(results["mean_test_score"])
    assert hyperparams == {**results["params"][results["best_index"]], "n_estimators": 10}
    # The stored model is one that was trained on all training rows with these, and so are its metrics.
    plain = search(warm, task=task, hyperparams=hyperparams)[1]
    assert plain[target] == metrics[target] and "search_results" not in plain
    files = warm.execute("select data from pgml.files where path = 'estimator.ubj' order by id desc limit 2").fetchall()
    assert files[0] == files[1]


def test_random_tries_as_many_as_asked_for(warm):
    _, metrics, word, *_ = search(warm, search="random", search_params=PARAMS, search_args={"n_iter": 3, "cv": 2})
    results = metrics["search_results"]
    assert word == "random" and len(results["params"]) == 3 and results["n_splits"] == 2
    assert all(
        each in [{"max_depth": d, "eta": e} for d in (1, 3) for e in (0.05, 0.3, 0.6)] for each in results["params"]
    )


def test_candidates_without_a_search_are_tried_on_one_part_of_the_training_rows(warm):
    _, metrics, word, *_ = search(warm, search_params={"max_depth": [1, 4]})
    assert word is None and metrics["search_results"]["n_splits"] == 1


def test_the_test_rows_choose_nothing(warm):
    """With labels in the test rows that contradict all others, the candidate is the same."""
    warm.execute(
        "create view public.hills_turned as select x, case when i > 200 then -y else y end as y "
        "from (select *, row_number() over () as i from public.hills) as r"
    )
    warm.execute("create view public.hills_plain as select x, y from public.hills")
    results = []
    for relation in ("hills_turned", "hills_plain"):
        warm.execute(
            "select pgml.train('turned', 'regression', %s, 'y', 'xgboost', search => 'grid', search_params => %s, "
            "test_size => 100, test_sampling => 'last')",
            [relation, json.dumps(PARAMS)],
        )
        results.append(
            warm.execute("select metrics -> 'search_results' from pgml.models order by id desc limit 1").fetchone()[0]
        )
    assert results[0]["mean_test_score"] == results[1]["mean_test_score"]


def test_scikit_learn_and_texts_and_several_labels_can_be_searched(warm):
    warm.execute(
        "create view public.hills_words as select x, case when x > 0.5 then 'high' end as word, y, 2 * y as z "
        "from public.hills"
    )
    warm.execute(
        "select pgml.train_joint('words', 'regression', 'hills_words', array['y', 'z'], 'ridge', search => 'grid', "
        'search_params => \'{"alpha": [0.1, 1000]}\', preprocess => \'{"word": {"encode": "target"}}\')'
    )
    hyperparams, files = warm.execute(
        "select hyperparams, (select array_agg(path order by path) from pgml.files where model_id = m.id) "
        "from pgml.models as m order by id desc limit 1"
    ).fetchone()
    assert hyperparams == {"alpha": 0.1}
    assert files == ["encoding.json", "estimator_1.skops", "estimator_2.skops"]
    report = warm.execute("select report from pgml.model_reports order by model_id desc limit 1").fetchone()[0]
    assert set(report["labels"]) == {"y", "z"} and report["labels"]["y"]["r2"] == pytest.approx(
        report["labels"]["z"]["r2"]
    )


def test_joint_models_answer_jointly(warm):
    warm.execute("create view public.hills_two as select x, y, 3 * y as z from public.hills")
    for algorithm in ("linear", "xgboost", "lightgbm"):
        warm.execute("select pgml.train_joint('both', 'regression', 'hills_two', array['y', 'z'], %s)", [algorithm])
        model = warm.execute("select currval('pgml.models_id_seq')").fetchone()[0]
        y, z = warm.execute("select pgml.predict_joint(%s::bigint, array[0.4]::real[])", [model]).fetchone()[0]
        assert z == pytest.approx(3 * y, rel=1e-3)
    for call in ("predict('both', array[0.4]::real[])", "predict_batch('both', array[0.4]::real[])"):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="predicts 2 labels: use pgml.predict_joint"):
            warm.execute(f"select pgml.{call}")
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="a classification has one label, got label, x"):
        warm.execute("select pgml.train_joint('none', 'classification', 'hills_label', array['label', 'x'])")
    warm.execute("select pgml.train('one class', 'classification', 'hills_label', 'label')")
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="predict_joint is for a regression"):
        warm.execute("select pgml.predict_joint('one class', array[0.4]::real[])")
