"""Every algorithm of scikit-learn that PostgresML names: through SQL it is the library's own fit and answer."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import psycopg
import pytest

FEW = {"n_estimators": 4}
SETTINGS = {
    **dict.fromkeys(("bagging", "extra_trees", "random_forest", "gradient_boosting_trees", "ada_boost"), FEW),
    "hist_gradient_boosting": {"max_iter": 4},
    "theil_sen": {"max_iter": 20, "max_subpopulation": 50},
    "knn": {"n_neighbors": 3},
    "svm": {"kernel": "rbf", "C": 2.0},
}
NO_REGRESSION = ("perceptron",)
NO_CLASSIFICATION = (
    *("lasso", "elastic_net", "least_angle", "lasso_least_angle", "orthogonal_matching_pursuit", "bayesian_ridge"),
    *("automatic_relevance_determination", "ransac", "theil_sen", "huber", "quantile", "kernel_ridge"),
)
BOTH = (
    *("ridge", "stochastic_gradient_descent", "passive_aggressive", "gaussian_process", "svm", "nu_svm", "linear_svm"),
    *(
        "ada_boost",
        "bagging",
        "extra_trees",
        "random_forest",
        "gradient_boosting_trees",
        "hist_gradient_boosting",
        "knn",
    ),
)
CASES = [
    *((name, "regression") for name in (*NO_CLASSIFICATION, *BOTH)),
    *((name, "classification") for name in (*NO_REGRESSION, *BOTH)),
]
CHANCES = (
    *("ada_boost", "bagging", "extra_trees", "random_forest", "gradient_boosting_trees", "hist_gradient_boosting"),
    *("knn", "gaussian_process"),
)
ROWS, TRAIN = 120, 90


@pytest.fixture(scope="module")
def rows(warm):
    warm.execute(
        "create table public.sampled as select i, a, b, a - b + 0.1 * c as y, (a > b)::int as label "
        "from (select setseed(0.1)) as seed, lateral (select i, random() as a, random() as b, random() as c "
        "from generate_series(1, 120) as i) as r"
    )
    for task, label in (("regression", "y"), ("classification", "label")):
        warm.execute(f"create view public.sampled_{task} as select a, b, {label} from public.sampled order by i")
    return warm.execute("select a, b, y, label from public.sampled order by i").fetchall()


@pytest.fixture(scope="module")
def library(rows, engine_venv, tmp_path_factory):
    """The answers of the libraries themselves, on the same float32 rows."""
    place = tmp_path_factory.mktemp("estimators")
    table = np.array(rows, dtype=np.float32)
    np.savez(place / "in.npz", rows=table[:, :2], regression=table[:, 2], classification=table[:, 3], train=TRAIN)
    (place / "cases.json").write_text(json.dumps([[name, task, SETTINGS.get(name, {})] for name, task in CASES]))
    program = Path(__file__).with_name("estimator_fit.py")
    packages = Path(__file__).parents[3] / "include"
    subprocess.run([engine_venv / "bin" / "python", program, place, packages], check=True)
    return dict(np.load(place / "out.npz"))


@pytest.mark.parametrize(("name", "task"), CASES, ids=[" ".join(case) for case in CASES])
def test_an_algorithm_is_the_librarys_own(warm, rows, library, name, task):
    warm.execute(
        "select pgml.train(%s, %s, %s, %s, %s, %s, test_size => 30, test_sampling => 'last')",
        [f"{name} {task}", task, f"sampled_{task}", "y" if task == "regression" else "label", name,
         json.dumps(SETTINGS.get(name, {}))],
    )  # fmt: skip
    model, metrics, files = warm.execute(
        "select m.id, metrics, array_agg(path order by path) from pgml.models as m join pgml.files on model_id = m.id "
        "group by m.id order by m.id desc limit 1"
    ).fetchone()
    flat = [value for row in rows for value in row[:2]]
    found = warm.execute("select pgml.predict_batch(%s::bigint, %s::real[])", [model, flat]).fetchone()[0]
    assert np.array_equal(np.float32(found), library[f"{name} {task}"])
    assert len(set(found)) > 1 or name in ("lasso", "elastic_net", "lasso_least_angle", "quantile")
    assert files == ["encoding.json", "estimator.skops"]
    if task == "classification":
        assert metrics["accuracy"] > 0.6 and metrics["roc_auc"] > 0.6
        ask = "select pgml.predict_proba(%s::bigint, array[0.9, 0.1]::real[])"
        if name in CHANCES:
            chances = warm.execute(ask, [model]).fetchone()[0]
            assert sum(chances) == pytest.approx(1, abs=1e-5) and metrics["log_loss"] > 0
        else:
            assert metrics["log_loss"] is None
            with pytest.raises(psycopg.errors.FeatureNotSupported, match=f"{name} has no probabilities"):
                warm.execute(ask, [model])


def test_a_stored_model_is_data_and_what_else_it_names_is_not_read(warm, rows):
    """A member may store bytes of its own as its own model's file: they must not run."""
    warm.execute("select pgml.train('tampered', 'regression', 'sampled_regression', 'y', 'ridge')")
    model, data = warm.execute(
        "select model_id, data from pgml.files where path = 'estimator.skops' order by id desc limit 1"
    ).fetchone()
    archive = zipfile.ZipFile(io.BytesIO(data))
    schema = archive.read("schema.json").decode()
    assert not data.startswith(b"\x80") and "Ridge" in schema
    for old, new, words in (
        ('"__class__": "Ridge"', '"__class__": "RidgeCV"', "RidgeCV"),
        (
            '"__class__": "dict",\n  "__module__": "builtins"',
            '"__class__": "system",\n  "__module__": "os"',
            "os.system",
        ),
        ('"__loader__": "ObjectNode"', '"__loader__": "MethodNode"', "MethodNode"),
    ):
        assert old in schema, old
        forged = io.BytesIO()
        with zipfile.ZipFile(forged, "w") as target:
            for name in archive.namelist():
                target.writestr(name, schema.replace(old, new) if name == "schema.json" else archive.read(name))
        for content, message in (
            (forged.getvalue(), f"{words}.* which no .*Ridge holds"),
            (b"x", "not a file of skops"),
        ):
            with warm.transaction(force_rollback=True):
                warm.execute(
                    "update pgml.files set data = %s where model_id = %s and path = 'estimator.skops'", [content, model]
                )
                warm.execute("do $$ GD.pop('pgml_engine', None) $$ language plpython3u")
                with pytest.raises(psycopg.errors.DataException, match=message), warm.transaction():
                    warm.execute("select pgml.predict(%s::bigint, array[1, 2]::real[])", [model])


def test_a_forest_stops_when_it_is_told_to(warm, rows):
    warm.execute(
        "create table public.wide as select random() as a, random() as b, random() as y from generate_series(1, 20000)"
    )
    warm.execute("set statement_timeout = '700ms'")
    try:
        for algorithm in ("random_forest", "gradient_boosting_trees"):
            with pytest.raises(psycopg.errors.QueryCanceled):
                warm.execute("select pgml.train('forest', 'regression', 'wide', 'y', %s, '{\"n_estimators\": 3000}')",
                             [algorithm])  # fmt: skip
    finally:
        warm.execute("set statement_timeout = 0")
    assert warm.execute("select count(*) from pgml.projects where name = 'forest'").fetchone() == (0,)


def test_a_file_of_each_kind_of_distance_and_loss_can_be_read_again(engine_db, warm, rows):
    """The list of trusted types has what the hyperparameters can bring in. Another session has no model in memory."""
    regressions = [
        *(("knn", {"metric": metric, "algorithm": "ball_tree"}) for metric in ("manhattan", "chebyshev", "canberra")),
        ("knn", {"metric": "minkowski", "p": 3}),
        ("knn", {"algorithm": "brute", "metric": "cosine"}),
        *(("gradient_boosting_trees", FEW | {"loss": loss}) for loss in ("huber", "quantile", "absolute_error")),
        *(("hist_gradient_boosting", {"max_iter": 3, "loss": loss}) for loss in ("absolute_error",)),
        ("hist_gradient_boosting", {"max_iter": 3, "loss": "quantile", "quantile": 0.7}),
        *(("stochastic_gradient_descent", {"loss": loss}) for loss in ("huber", "epsilon_insensitive")),
        ("random_forest", FEW | {"criterion": "absolute_error", "max_samples": 0.5}),
        ("ada_boost", FEW | {"loss": "square"}),
        ("svm", {"kernel": "poly", "degree": 2}),
    ]
    classifications = [
        ("gradient_boosting_trees", FEW | {"loss": "exponential"}),
        ("hist_gradient_boosting", {"max_iter": 3, "class_weight": {"0": 2, "1": 1}}),
        *(("stochastic_gradient_descent", {"loss": loss}) for loss in ("log_loss", "modified_huber", "squared_hinge")),
        ("svm", {"class_weight": "balanced"}),
        ("gaussian_process", {"multi_class": "one_vs_one"}),
    ]
    for project, task, label, cases in (
        ("kinds", "regression", "y", regressions),
        ("class kinds", "classification", "label", classifications),
    ):
        for algorithm, hyperparams in cases:
            warm.execute(
                "select pgml.train(%s, %s, %s, %s, %s, %s)",
                [project, task, f"sampled_{task}", label, algorithm, json.dumps(hyperparams)],
            )
        with psycopg.connect(engine_db, autocommit=True) as another:
            answers = another.execute(
                "select m.id, pgml.predict(m.id, array[0.9, 0.1]::real[]), pgml.predict(m.id, array[0.1, 0.9]::real[])"
                " from pgml.models as m join pgml.projects as p on p.id = m.project_id where p.name = %s",
                [project],
            ).fetchall()
        assert len(answers) == len(cases)
        # In both tasks the first row's label is the greater.
        assert [model for model, greater, smaller in answers if not greater > smaller] == []
