"""pgml.explain: contributions that add up to what the library computes, by the libraries' own TreeSHAP."""

from __future__ import annotations

import json
import math

import psycopg
import pytest

ROW = "array[0.3, 0.8, 12.5]::real[]"
BASE = "(base value)"
CASES = [
    ("xgboost", "regression", "y", {"n_estimators": 20}),
    ("xgboost", "classification", "two", {"n_estimators": 20}),
    ("xgboost", "classification", "two", {"n_estimators": 20, "objective": "binary:logistic"}),
    ("xgboost", "classification", "three", {"n_estimators": 20}),
    ("xgboost", "regression", "y", {"n_estimators": 20, "booster": "dart"}),
    ("xgboost_random_forest", "regression", "y", {"n_estimators": 20}),
    ("lightgbm", "regression", "y", {"num_iterations": 20}),
    ("lightgbm", "classification", "two", {"num_iterations": 20}),
    ("lightgbm", "classification", "three", {"num_iterations": 20}),
    ("linear", "regression", "y", {}),
    ("linear", "classification", "two", {}),
    ("linear", "classification", "three", {}),
]


@pytest.fixture(scope="module", autouse=True)
def relation(warm):
    warm.execute(
        "create table public.explained as select x1, x2, x3, 3 * x1 + x2 * x2 + x3 / 50 as y, "
        "(3 * x1 + x2 > 2)::int as two, (x1 > 0.6)::int + (x2 > 0.5)::int as three, "
        "array[x2, x3] as pair, case when x1 > 0.5 then 'high' else 'low' end as word "
        "from (select setseed(0.5)) as seed, "
        "lateral (select random() as x1, random() as x2, 100 * random() as x3 from generate_series(1, 400)) as r"
    )


def train(warm, name, task, label, algorithm="xgboost", hyperparams=None, columns="x1, x2, x3", **named):
    warm.execute(f"create or replace view public.{label}_explained as select {columns}, {label} from public.explained")
    arguments = [name, task, f"{label}_explained", label, algorithm, json.dumps(hyperparams or {})]
    call = "".join(f", {key} => %s" for key in named)
    warm.execute(
        f"select pgml.train(%s, %s, %s, %s, %s::pgml.algorithm, %s, test_sampling => 'last'{call})",
        arguments + list(named.values()),
    )
    warm.execute(f"drop view public.{label}_explained")
    return warm.execute("select currval('pgml.models_id_seq')").fetchone()[0]


def explained(warm, model, row=ROW):
    return dict(warm.execute(f"select * from pgml.explain(%s::bigint, {row})", [model]).fetchall())


@pytest.mark.parametrize(("algorithm", "task", "label", "hyperparams"), CASES)
def test_contributions_add_up_to_the_answer(warm, algorithm, task, label, hyperparams):
    model = train(warm, f"explain {algorithm} {label} {hyperparams}", task, label, algorithm, hyperparams)
    found = explained(warm, model)
    assert list(found) == ["x1", "x2", "x3", BASE]
    total = sum(found.values())
    if task == "regression":
        answer = warm.execute(f"select pgml.predict(%s::bigint, {ROW})", [model]).fetchone()[0]
        assert total == pytest.approx(answer, abs=1e-4)
        return
    chances = warm.execute(f"select pgml.predict_proba(%s::bigint, {ROW})", [model]).fetchone()[0]
    if label == "two":
        assert total == pytest.approx(math.log(chances[-1] / (1 - chances[-1])), abs=1e-3)
        return
    # Of three classes it is one score of three, of which the probabilities show differences only.
    assert total == pytest.approx(library_score(warm, model, algorithm), abs=1e-3)


def library_score(warm, model, algorithm):
    """The raw score of the predicted class, by the library from the stored bytes, in the server's Python."""
    warm.execute(SCORE)
    return warm.execute("select public.score(%s, %s)", [model, algorithm]).fetchone()[0]


SCORE = """
create or replace function public.score(model bigint, algorithm text) returns float8 language plpython3u as $$
import json
import numpy
from pgml_engine import libraries
query = f"select data from pgml.files where model_id = {model} and path like 'estimator%'"
data, row = plpy.execute(query)[0]["data"], numpy.array([[0.3, 0.8, 12.5]], dtype="f4")
if algorithm == "xgboost":
    xgb = libraries.xgboost()
    booster = xgb.Booster(model_file=bytearray(data))
    return booster.predict(xgb.DMatrix(row), output_margin=True).max().item()
if algorithm == "lightgbm":
    return libraries.lightgbm().Booster(model_str=data.decode()).predict(row, raw_score=True).max().item()
stored = json.loads(data)
return (numpy.array(stored["coefficients"]) @ row[0].astype("f8") + stored["intercept"]).max().item()
$$
"""


def test_a_line_is_taken_apart_exactly(warm):
    model = train(warm, "explain a line", "regression", "y", "linear", columns="x1, x3")
    slopes = {
        name: warm.execute(
            f"select pgml.predict(%(m)s::bigint, array[{one}]::real[]) "
            "- pgml.predict(%(m)s::bigint, array[0, 0]::real[])",
            {"m": model},
        ).fetchone()[0]
        for name, one in (("x1", "1, 0"), ("x3", "0, 1"))
    }
    found = explained(warm, model, "array[2, 10]::real[]")
    assert found["x1"] == pytest.approx(2 * slopes["x1"], abs=1e-4)
    assert found["x3"] == pytest.approx(10 * slopes["x3"], abs=1e-4)


def test_columns_that_are_several_numbers_to_the_model_have_one_share(warm):
    model = train(
        warm, "explain a row", "regression", "y", columns="x1, pair, word", preprocess='{"word": {"encode": "one_hot"}}'
    )
    row = "row(0.3::float8, array[0.8, 12.5]::float8[], 'low'::text)"
    found = explained(warm, model, row)
    assert list(found) == ["x1", "pair[1]", "pair[2]", "word", BASE]
    answer = warm.execute(f"select pgml.predict(%s::bigint, {row})", [model]).fetchone()[0]
    assert sum(found.values()) == pytest.approx(answer, abs=1e-4)
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="call pgml.predict with a row"):
        explained(warm, model)


def test_the_deployed_model_is_explained_by_name_whatever_the_type_of_the_array(warm):
    model = train(warm, "explain by name", "regression", "y", preprocess='{"x3": {"scale": "standard"}}')
    by_id = explained(warm, model)
    for row in (ROW, "array[0.3, 0.8, 12.5]", "array[0.3, 0.8, 12.5]::float8[]", "row(0.3, 0.8, 12.5)"):
        rows = warm.execute(f"select * from pgml.explain('explain by name', {row})").fetchall()
        assert dict(rows) == pytest.approx(by_id)


@pytest.mark.parametrize(
    ("row", "error", "named"),
    [
        ("array[1, 2]::real[]", psycopg.errors.InvalidParameterValue, "takes 3 features, got 2"),
        ("array[1, 2, null]::real[]", psycopg.errors.DataException, "must not contain NULL"),
        ("array[1, 2, 'NaN']::real[]", psycopg.errors.DataException, "feature 3"),
        ("array[1, 2, 'inf']::real[]", psycopg.errors.DataException, "infinite"),
    ],
)
def test_what_predict_refuses_explain_refuses(warm, row, error, named):
    model = train(warm, "explain refused", "regression", "y")
    with pytest.raises(error, match=named):
        explained(warm, model, row)


def test_what_cannot_be_explained_is_said(warm):
    model = train(warm, "explain ridge", "regression", "y", "ridge")
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="ridge, whose answers pgml.explain cannot take apart"):
        explained(warm, model)
    trees = train(warm, "explain linear trees", "regression", "y", "lightgbm", {"linear_tree": True})
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="lightgbm: .*linear trees"):
        explained(warm, trees)
    with pytest.raises(psycopg.errors.UndefinedObject, match="model 0 does not exist"):
        explained(warm, 0)
