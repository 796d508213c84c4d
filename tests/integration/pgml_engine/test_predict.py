"""Predictions through SQL are the library's own, whoever asks and however the rows are handed in."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import psycopg
import pytest

ALGORITHMS = ("xgboost", "lightgbm", "linear")
HYPERPARAMS = {
    "xgboost": {"n_estimators": 30, "max_depth": 4, "learning_rate": 0.2, "subsample": 0.8},
    "lightgbm": {"num_iterations": 30, "num_leaves": 15, "learning_rate": 0.1},
    "linear": {},
}
ROWS = 600
SAMPLE = "array[0.1, 0.7, 12.5]"


@pytest.fixture(scope="module")
def models(warm) -> dict[str, int]:
    """Ids of one model per algorithm and task, each deployed in a project of that name, trained on public.measured."""
    warm.execute(
        "create table public.measured as select i as id, x1, x2, x3, 3 * x1 + x2 * x2 + x3 / 50 as number, "
        "(3 * x1 + x2 * x2 > 1.8)::int as label from (select setseed(0.75)) as seed, "
        "lateral (select i, random() as x1, random() as x2, 100 * random() as x3 from generate_series(1, 600) as i) r"
    )
    warm.execute("create view public.measured_regression as select x1, x2, x3, number as y from measured order by id")
    warm.execute(
        "create view public.measured_classification as select x1, x2, x3, label as y from measured order by id"
    )
    ids = {}
    for algorithm in ALGORITHMS:
        for task in ("regression", "classification"):
            name = f"{algorithm} {task}"
            warm.execute(
                "select pgml.train(%s, %s, %s, 'y', %s, %s, test_size => 100, test_sampling => 'last')",
                [name, task, f"measured_{task}", algorithm, json.dumps(HYPERPARAMS[algorithm])],
            )
            ids[name] = warm.execute("select currval('pgml.models_id_seq')").fetchone()[0]
    return ids


@pytest.fixture(scope="module")
def rows(warm, models) -> list[list[float]]:
    return [list(row) for row in warm.execute("select x1, x2, x3 from public.measured order by id")]


@pytest.fixture(scope="module")
def library(warm, rows, engine_venv, tmp_path_factory):
    """The answers of the libraries themselves."""
    place = tmp_path_factory.mktemp("library")
    targets = np.array(
        warm.execute("select number, label from public.measured order by id").fetchall(), dtype=np.float32
    )
    features = np.array(rows, dtype=np.float32)
    np.savez(place / "in.npz", rows=features, number=targets[:, 0], label=targets[:, 1], train=ROWS - 100)
    program = Path(__file__).with_name("library_fit.py")
    subprocess.run([engine_venv / "bin" / "python", program, place / "in.npz", place / "out.npz"], check=True)
    return dict(np.load(place / "out.npz"))


def flat(rows):
    return [value for row in rows for value in row]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_regression_answers_as_the_library_does(warm, models, rows, library, algorithm):
    name = f"{algorithm} regression"
    batch = warm.execute("select pgml.predict_batch(%s::bigint, %s::real[])", [models[name], flat(rows)]).fetchone()[0]
    assert np.array_equal(np.float32(batch), np.float32(library[name]))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_classification_answers_as_the_library_does(warm, models, rows, library, algorithm):
    name = f"{algorithm} classification"
    chances = warm.execute("select pgml.predict_proba(%s::bigint, %s::real[])", [models[name], flat(rows)]).fetchone()[
        0
    ]
    expected = np.float32(library[name])
    # LightGBM says P(1) alone for two classes, the others all classes, as with PostgresML.
    assert expected.ndim == (1 if algorithm == "lightgbm" else 2)
    assert np.array_equal(np.float32(chances), expected.ravel()) or (
        # numpy's exp and scikit-learn's differ in the last digit
        algorithm == "linear" and np.allclose(chances, expected.ravel(), atol=1e-6)
    )
    positive = expected if expected.ndim == 1 else expected[:, 1]
    classes = warm.execute("select pgml.predict_batch(%s::bigint, %s::real[])", [models[name], flat(rows)]).fetchone()[
        0
    ]
    assert np.array_equal(np.array(classes), (positive >= 0.5).astype(float))
    assert 0 < sum(classes) < len(classes)


@pytest.mark.parametrize("name", [f"{a} {t}" for a in ALGORITHMS for t in ("regression", "classification")])
def test_a_row_has_one_answer_alone_or_among_others_by_id_or_by_name(warm, models, rows, name):
    some = rows[:40]
    batch = warm.execute("select pgml.predict_batch(%s::bigint, %s::real[])", [models[name], flat(some)]).fetchone()[0]
    asked = {
        "by id": "select pgml.predict(%(id)s::bigint, array[x1, x2, x3]::real[])",
        "by name": "select pgml.predict(%(name)s, array[x1, x2, x3]::real[])",
        "doubles": "select pgml.predict(%(name)s, array[x1, x2, x3])",
    }
    for call in asked.values():
        call += " from public.measured order by id limit 40"
        single = [row[0] for row in warm.execute(call, {"id": models[name], "name": name})]
        assert single == batch
    by_name = warm.execute("select * from pgml.predict_batch(%s, %s::real[])", [name, flat(some)]).fetchall()
    assert [row[0] for row in by_name] == batch
    nested = warm.execute("select pgml.predict_batch(%s::bigint, %s::real[])", [models[name], some]).fetchone()[0]
    assert nested == batch
    if "classification" in name:
        calls = (
            ("select pgml.predict_proba(%s::bigint, %s::real[])", models[name]),
            ("select pgml.predict_proba(%s, %s::real[])", name),
        )
        by_id, by_name = (warm.execute(call, [model, flat(some)]).fetchone()[0] for call, model in calls)
        assert by_id == by_name


def test_every_type_of_array_is_taken(warm, models):
    whole = {kind: f"array[0, 1, 12]::{kind}[]" for kind in ("real", "float8", "smallint", "int", "bigint")}
    answers = {
        kind: warm.execute(f"select pgml.predict('xgboost regression', {array})").fetchone()[0]
        for kind, array in whole.items()
    }
    assert len(set(answers.values())) == 1
    flags = warm.execute(
        "select pgml.predict('xgboost regression', array[false, true, true]) = "
        "pgml.predict('xgboost regression', array[0, 1, 1]::real[])"
    ).fetchone()
    assert flags == (True,)


def test_a_hundred_thousand_rows_are_one_call(warm, models):
    warm.execute(
        "create table public.many as select array_agg(v) as flat "
        "from (select unnest(array[random(), random(), random()])::real from generate_series(1, 100000)) as r (v)"
    )
    with warm.transaction():
        warm.execute("set local statement_timeout = '5s'")
        for name in ("xgboost regression", "lightgbm classification", "linear regression"):
            found = warm.execute(
                "select count(*), count(distinct p) "
                "from public.many, unnest(pgml.predict_batch(%s::bigint, flat)) as p",
                [models[name]],
            ).fetchone()
            assert found[0] == 100_000 and found[1] > 1


def test_no_rows_are_no_answers_and_null_is_null(warm, models):
    model = models["xgboost classification"]
    assert warm.execute("select pgml.predict_batch(%s::bigint, '{}'::real[])", [model]).fetchone() == ([],)
    assert warm.execute("select pgml.predict_proba(%s::bigint, '{}'::real[])", [model]).fetchone() == ([],)
    assert warm.execute("select * from pgml.predict_batch('xgboost regression', '{}'::real[])").fetchall() == []
    assert warm.execute("select pgml.predict(%s::bigint, null::real[])", [model]).fetchone() == (None,)
    assert warm.execute("select pgml.predict(null::text, array[1]::real[])").fetchone() == (None,)


@pytest.mark.parametrize("name", [f"{a} regression" for a in ALGORITHMS])
@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        ("predict({id}::bigint, array[1, 2]::real[])", "InvalidParameterValue", "takes 3 features, got 2"),
        # PostgresML answers for the first row
        ("predict({id}::bigint, array[1, 2, 3, 4, 5, 6]::real[])", "InvalidParameterValue", "takes 3 features, got 6"),
        ("predict({id}::bigint, '{{}}'::real[])", "InvalidParameterValue", "takes 3 features, got 0"),
        # PostgresML drops the tail
        ("predict_batch({id}::bigint, array[1, 2, 3, 4]::real[])", "InvalidParameterValue", "got 4 values"),
        ("predict({id}::bigint, array[1, null, 3]::real[])", "DataException", "must not contain NULL"),
        ("predict_batch({id}::bigint, array[1, null, 3]::real[])", "DataException", "must not contain NULL"),
        ("predict({id}::bigint, array[1, 'NaN', 3]::real[])", "DataException", "feature 2 of model {id} is NaN"),
        ("predict_batch({id}::bigint, array[1, 2, 3, 1, 2, 'NaN']::real[])", "DataException", "feature 3 of .* is NaN"),
        ("predict({id}::bigint, array[1, 'Infinity', 3]::real[])", "DataException", "must be finite"),
        ("predict('{name}', array[1, 1e300, 3]::float8[])", "DataException", "must be finite"),
        ("predict(-1::bigint, array[1]::real[])", "UndefinedObject", "model -1 does not exist"),
        ("predict('nobody', array[1]::real[])", "UndefinedObject", 'No deployed model .*: "nobody"'),
        ("predict_proba({id}::bigint, array[1, 2, 3]::real[])", "InvalidParameterValue", "is a regression"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_refused_with_the_rule_and_the_value(warm, models, name, call, error, words):
    with pytest.raises(getattr(psycopg.errors, error), match=words.format(id=models[name])):
        warm.execute("select pgml." + call.format(id=models[name], name=name))


def test_an_answer_in_a_cached_plan_follows_the_deployment(engine_db, models):
    """PostgresML declares predict immutable: a constant call is folded and keeps the old answer."""
    with psycopg.connect(engine_db, autocommit=True) as connection:
        connection.execute("set plan_cache_mode = force_generic_plan")
        connection.execute(f"prepare ask as select pgml.predict('moving', {SAMPLE}::real[])")
        answers = []
        for rounds in (1, 30):
            connection.execute(
                "select pgml.train('moving', 'regression', 'measured_regression', 'y', 'xgboost', %s)",
                [json.dumps({"n_estimators": rounds})],
            )
            answers.append(connection.execute("execute ask").fetchone()[0])
        connection.execute("select pgml.deploy('moving', 'rollback')")
        answers.append(connection.execute("execute ask").fetchone()[0])
    assert answers[0] != answers[1] and answers[2] == answers[0]


def test_the_sessions_models_are_bounded(admin, models):
    def ask(name):
        return admin.execute(f"select pgml.predict(%s, {SAMPLE}::real[])", [name]).fetchone()[0]

    held = (
        "create function pg_temp.held() returns int language plpython3u as $$ return len(GD['pgml_engine'].models) $$"
    )
    admin.execute(held)
    expected = {name: ask(name) for name in models}
    assert admin.execute("select pg_temp.held()").fetchone() == (len(models),)
    admin.execute("do $$ GD['pgml_engine'].models.max_models = 2 $$ language plpython3u")
    ask("moving")
    assert admin.execute("select pg_temp.held()").fetchone() == (2,)
    assert {name: ask(name) for name in models} == expected
    assert admin.execute("select pg_temp.held()").fetchone() == (2,)
