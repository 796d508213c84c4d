"""The calls that PostgresML's documentation shows for regression, classification, images, preprocessing, search and
joint regression, on its own data sets."""

from __future__ import annotations

import json
import subprocess

import pytest

from launcher.system import CHECKOUT, postgres_bin

# As there: the hyperparameters that keep an example short.
REGRESSIONS = {
    **dict.fromkeys(("ridge", "lasso", "elastic_net", "least_angle", "lasso_least_angle", "bayesian_ridge"), {}),
    "huber": {},
    **dict.fromkeys(("orthogonal_matching_pursuit", "automatic_relevance_determination", "ransac", "quantile"), {}),
    **dict.fromkeys(("stochastic_gradient_descent", "passive_aggressive", "kernel_ridge", "xgboost", "lightgbm"), {}),
    "theil_sen": {"max_iter": 10, "max_subpopulation": 100},
    "svm": {"max_iter": 100},
    "nu_svm": {"max_iter": 10},
    "linear_svm": {"max_iter": 100},
    **dict.fromkeys(("ada_boost", "bagging", "extra_trees"), {"n_estimators": 5}),
    **dict.fromkeys(("gradient_boosting_trees", "random_forest"), {"n_estimators": 5}),
    "hist_gradient_boosting": {"max_iter": 10},
    "xgboost_random_forest": {"n_estimators": 10},
}  # fmt: skip
CLASSIFICATIONS = {
    **dict.fromkeys(("ridge", "stochastic_gradient_descent", "perceptron", "passive_aggressive"), {}),
    **dict.fromkeys(("svm", "nu_svm", "linear_svm", "bagging"), {}),
    "ada_boost": {"n_estimators": 10},
    **dict.fromkeys(("extra_trees", "gradient_boosting_trees", "random_forest", "xgboost"), {"n_estimators": 10}),
    "hist_gradient_boosting": {"max_iter": 2},
}
SETS = {"iris": 150, "diabetes": 442, "breast_cancer": 569, "digits": 1797, "linnerud": 20, "wine": 178}
# Per example: the data set, its label, the features as an array, and what a good model reaches.
CLASSIFIED = {
    "Iris Flower Types": ("iris", "target", "array[sepal_length, sepal_width, petal_length, petal_width]", 0.9),
    "Breast Cancer Detection": ("breast_cancer", "malignant", None, 0.9),
    "Handwritten Digits": ("digits", "target", "image::real[]", 0.9),
}


@pytest.fixture(scope="module", autouse=True)
def sets(warm):
    return {name: warm.execute("select * from pgml.load_dataset(%s)", [name]).fetchone() for name in SETS}


def features(connection, relation, label):
    names = connection.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and attname <> %s "
        "order by attnum",
        [relation, label],
    ).fetchall()
    return "array[" + ", ".join(f'"{name}"' for (name,) in names) + "]"


def newest(connection):
    return connection.execute("select algorithm, metrics from pgml.models order by id desc limit 1").fetchone()


def test_the_six_data_sets_come_along(warm, sets):
    assert sets == {name: (f"pgml.{name}", rows) for name, rows in SETS.items()}
    for name, rows in SETS.items():
        assert warm.execute(f"select count(*) from pgml.{name}").fetchone() == (rows,)
    assert warm.execute("select count(*) filter (where malignant) from pgml.breast_cancer").fetchone() == (212,)
    assert warm.execute("select array_dims(image) from pgml.digits limit 1").fetchone() == ("[1:8][1:8]",)
    first = warm.execute("select alcohol, hue, color_intensity, proline, target from pgml.wine limit 1").fetchone()
    assert first == (pytest.approx(14.23), pytest.approx(1.04), pytest.approx(5.64), 1065, 0)


def test_a_regression(warm):
    project = "Diabetes Progression"
    answer = warm.execute("select * from pgml.train(%s, 'regression', 'pgml.diabetes', 'target')", [project]).fetchone()
    assert answer == (project, "regression", "linear", True)
    for algorithm, hyperparams in REGRESSIONS.items():
        row = warm.execute(
            "select * from pgml.train(%s, 'regression', 'pgml.diabetes', 'target', %s, %s)",
            [project, algorithm, json.dumps(hyperparams)],
        ).fetchone()
        assert row[:3] == (project, "regression", algorithm)
        assert newest(warm)[1]["r2"] is not None
    ask = (
        "select target, pgml.predict(%s, array[age, sex, bmi, bp, s1, s2, s3, s4, s5, s6]) as prediction "
        "from pgml.diabetes limit 10"
    )
    best = warm.execute(ask, [project]).fetchall()
    assert all(25 < prediction < 350 for _, prediction in best)
    shown = warm.execute(
        "select trained_models.* from pgml.trained_models join pgml.models on models.id = trained_models.id "
        "order by models.metrics ->> 'mean_squared_error' desc limit 5"
    ).fetchall()
    assert len(shown) == 5
    for call, algorithm in (
        ("'most_recent', 'random_forest'", "random_forest"),
        ("'best_score'", None),
        ("'most_recent'", "xgboost_random_forest"),
        ("'rollback'", None),
        ("'best_score', 'svm'", "svm"),
    ):
        deployed = warm.execute(f"select * from pgml.deploy(%s, {call})", [project]).fetchone()
        assert deployed[0] == project and algorithm in (None, deployed[2])
    assert warm.execute("select algorithm from pgml.deployed_models where name = %s", [project]).fetchone() == ("svm",)
    assert warm.execute(ask, [project]).fetchall() != best


@pytest.mark.parametrize("project", CLASSIFIED)
def test_a_classification(warm, project):
    name, label, array, good = CLASSIFIED[project]
    relation = f"pgml.{name}"
    array = array or features(warm, relation, label)
    first = warm.execute(
        "select * from pgml.train(%s, 'classification', %s, %s)", [project, relation, label]
    ).fetchone()
    assert first == (project, "classification", "linear", True)
    assert newest(warm)[1]["f1"] > good
    rows = f"from {relation} order by random() limit 10"
    predicted = warm.execute(f"select {label}::int, pgml.predict(%s, {array}) {rows}", [project]).fetchall()
    assert sum(actual == found for actual, found in predicted) >= 7
    # An array of smallint, of several dimensions, becomes one of real by itself.
    raw = "image" if name == "digits" else array
    chances = warm.execute(f"select pgml.predict_proba(%s, {raw}) {rows}", [project]).fetchall()
    assert all(sum(row[0]) == pytest.approx(1, abs=1e-4) for row in chances)
    # Omitted parameters are those of the last training.
    for algorithm, hyperparams in CLASSIFICATIONS.items():
        if name == "digits" and algorithm in ("hist_gradient_boosting", "bagging", "gradient_boosting_trees"):
            continue  # seconds each, on 64 features and ten classes
        warm.execute(
            "select pgml.train(%s, algorithm => %s, hyperparams => %s)", [project, algorithm, json.dumps(hyperparams)]
        )
        trained, metrics = newest(warm)
        assert trained == algorithm and metrics["accuracy"] > (0.2 if algorithm == "ada_boost" else 0.5)
    warm.execute("select pgml.deploy(%s, 'most_recent', 'random_forest')", [project])
    assert warm.execute("select algorithm from pgml.deployed_models where name = %s", [project]).fetchone() == (
        "random_forest",
    )


@pytest.mark.parametrize(
    ("project", "algorithm", "params"),
    [
        ("Handwritten Digits", "svm", {"kernel": ["linear", "poly", "sigmoid"], "shrinking": [True, False]}),
        ("Breast Cancer Detection", "xgboost", {"n_estimators": [2, 4], "max_depth": [1, 2, 3]}),
        ("Iris Flower Types", "gradient_boosting_trees", {"n_estimators": [2, 4], "max_leaf_nodes": [2, 4],
                                                          "criterion": ["friedman_mse", "squared_error"]}),
    ],
)  # fmt: skip
def test_a_search(warm, project, algorithm, params):
    # What follows takes its relation and label from here.
    name, label, *_ = CLASSIFIED[project]
    warm.execute("select pgml.train(%s, 'classification', %s, %s)", [project, f"pgml.{name}", label])
    warm.execute(
        "select pgml.train(%s, algorithm => %s, hyperparams => %s, search => 'grid', search_params => %s)",
        [project, algorithm, '{"random_state": 0}', json.dumps(params)],
    )
    trained, metrics = newest(warm)
    results = metrics["search_results"]
    candidates = 1
    for values in params.values():
        candidates *= len(values)
    assert trained == algorithm and len(results["params"]) == candidates and results["n_splits"] == 5
    best = results["params"][results["best_index"]]
    assert results["mean_test_score"][results["best_index"]] == max(results["mean_test_score"])
    chosen = warm.execute("select hyperparams from pgml.models order by id desc limit 1").fetchone()[0]
    assert chosen == {**best, "random_state": 0}
    for call in ("'best_score'", "'most_recent'", "'rollback'", f"'best_score', '{algorithm}'"):
        warm.execute(f"select pgml.deploy(%s, {call})", [project])


def test_joint_regression(warm):
    project = "Exercise vs Physiology"
    answer = warm.execute(
        "select * from pgml.train_joint(%s, 'regression', 'pgml.linnerud', array['weight', 'waist', 'pulse'])",
        [project],
    ).fetchone()
    assert answer == (project, "regression", "linear", True)
    ask = "select weight, waist, pulse, pgml.predict_joint(%s, array[chins, situps, jumps]) from pgml.linnerud limit 10"
    for weight, waist, pulse, predicted in warm.execute(ask, [project]):
        assert predicted == [
            pytest.approx(weight, rel=0.5),
            pytest.approx(waist, rel=0.5),
            pytest.approx(pulse, rel=0.5),
        ]
    for algorithm, hyperparams in {**REGRESSIONS, "gaussian_process": {}}.items():
        if algorithm == "ransac":
            hyperparams = {"min_samples": 5}  # of 15 rows
        row = warm.execute(
            "select * from pgml.train_joint(%s, algorithm => %s, hyperparams => %s)",
            [project, algorithm, json.dumps(hyperparams)],
        ).fetchone()
        assert row[2] == algorithm
    for call in (
        "'most_recent', 'random_forest'",
        "'best_score'",
        "'most_recent'",
        "'rollback'",
        "'best_score', 'svm'",
    ):
        warm.execute(f"select pgml.deploy(%s, {call})", [project])
    assert all(len(row[3]) == 3 for row in warm.execute(ask, [project]))


def test_preprocessing(warm):
    """Theirs is a set from a network; ours has its name and columns, and a price that follows from the words too."""
    warm.execute(
        'create table pgml."jdxcosta/diamonds" as select carat, cut, color, clarity, depth, "table", x, y, z, '
        "(carat * 4000 + 900 * length(cut) - 300 * ascii(color) + 20000 + 500 * length(clarity))::int as price "
        "from (select setseed(0.5)) as seed, lateral (select 0.2 + random() as carat, "
        "(array['Fair', 'Good', 'Very Good', 'Premium', 'Ideal'])[1 + (random() * 4.99)::int % 5] as cut, "
        "(array['D', 'E', 'F', 'G'])[1 + (random() * 3.99)::int % 4] as color, "
        "(array['SI1', 'VVS2', 'IF'])[1 + (random() * 2.99)::int % 3] as clarity, 60 + random() as depth, "
        '55 + random() as "table", random() as x, random() as y, random() as z from generate_series(1, 1000)) as r'
    )
    steps = {
        **{name: {"scale": "standard"} for name in ("carat", "depth", "table")},
        **{name: {"encode": "target", "scale": "standard"} for name in ("cut", "color", "clarity")},
    }
    warm.execute(
        "select pgml.train(project_name => 'Diamond prices', task => 'regression', "
        "relation_name => 'pgml.jdxcosta/diamonds', y_column_name => 'price', algorithm => 'lightgbm', "
        "preprocess => %s)",
        [json.dumps(steps)],
    )
    assert newest(warm)[1]["r2"] > 0.9
    rows = warm.execute(
        "select price, pgml.predict('Diamond prices', (carat, cut, color, clarity, depth, \"table\", x, y, z)) "
        'from pgml."jdxcosta/diamonds" limit 10'
    ).fetchall()
    assert all(predicted == pytest.approx(price, rel=0.2) for price, predicted in rows)


def test_the_script_of_examples(engine_db, warm):
    """As its first lines say to run it."""
    script = CHECKOUT / "docs" / "examples" / "postgresml.sql"
    command = [postgres_bin() / "psql", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-f", script, "--dbname", engine_db]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    (chosen,) = (line for line in run.stdout.splitlines() if "max_depth" in line)
    assert json.loads(chosen).keys() == {"n_estimators", "max_depth"}
    rows = [[cell.strip() for cell in line.split("|")] for line in run.stdout.splitlines()]
    trained = [row[2] for row in rows if row[:2] == ["Example: diabetes", "regression"]]
    assert trained == ["linear", "ridge", "random_forest", "xgboost", "lightgbm"]
    assert warm.execute("select count(*) from pgml.projects where name like 'Example:%%'").fetchone() == (0,)
