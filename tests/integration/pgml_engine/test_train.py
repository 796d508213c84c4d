"""pgml.train: what it stores, what it answers, and what it refuses."""

from __future__ import annotations

import json

import psycopg
import pytest

ROWS = """
create table public.rows_{n} as
select x1, x2, x3, 3 * x1 + x2 * x2 as y, (3 * x1 + x2 * x2 > 1.8)::int as label, (x1 > 0.5) as flag
from (select setseed(0.25)) as seed, lateral (select random() as x1, random() as x2, random() as x3
from generate_series(1, {n})) as r
"""

NEWEST_FILES = "select path, data from pgml.files where model_id = (select max(id) from pgml.models) order by path"


@pytest.fixture(scope="module", autouse=True)
def relations(warm):
    warm.execute(ROWS.format(n=1000))
    warm.execute("create view public.regression as select x1, x2, x3, y from public.rows_1000")
    warm.execute("create view public.classification as select x1, x2, x3, label from public.rows_1000")


def train(connection, project, task, relation, label, algorithm="xgboost", hyperparams=None, **named):
    arguments = {
        "project_name": project,
        "task": task,
        "relation_name": relation,
        "y_column_name": label,
        "algorithm": algorithm,
        "hyperparams": json.dumps(hyperparams or {}),
        **named,
    }
    # Without a cast the driver says float8, and PostgreSQL makes no real of that by itself.
    casts = {"test_size": "::real", "seed": "::integer"}
    call = ", ".join(f"{name} => %({name})s{casts.get(name, '')}" for name in arguments)
    return connection.execute(f"select * from pgml.train({call})", arguments).fetchone()


def newest_model(connection, *columns):
    return connection.execute(f"select {', '.join(columns)} from pgml.models order by id desc limit 1").fetchone()


@pytest.mark.parametrize("algorithm", ["xgboost", "lightgbm", "linear"])
@pytest.mark.parametrize(("task", "label"), [("regression", "y"), ("classification", "label")])
def test_a_model_is_trained_stored_and_deployed(warm, algorithm, task, label):
    name = f"whole {algorithm} {task}"
    answer = train(warm, name, task, task, label, algorithm, test_size=0.2)
    assert answer == (name, task, algorithm, True)
    model_id, features, stored, runtime, status, metrics = newest_model(
        warm, "id", "num_features", "algorithm", "runtime", "status", "metrics"
    )
    assert (features, stored, runtime, status) == (3, algorithm, "python", "successful")
    expected = {"fit_time", "score_time"}
    if task == "regression":
        expected |= {"r2", "mean_absolute_error", "mean_squared_error"}
        assert metrics["r2"] > 0.9
    else:
        expected |= {"f1", "precision", "recall", "accuracy", "mcc", "roc_auc", "log_loss"}
        assert metrics["roc_auc"] > 0.95 and metrics["f1"] > 0.85
    assert set(metrics) == expected
    assert warm.execute("select currval('pgml.models_id_seq')").fetchone() == (model_id,)
    snapshot = warm.execute(
        "select relation_name, y_column_name, test_size, test_sampling, status, analysis, columns from pgml.snapshots "
        "where id = (select snapshot_id from pgml.models where id = %s)",
        [model_id],
    ).fetchone()
    assert snapshot[:6] == (task, [label], pytest.approx(0.2), "stratified", "successful", {"samples": 1000})
    assert [(c["name"], c["label"]) for c in snapshot[6]] == [(x, False) for x in ("x1", "x2", "x3")] + [(label, True)]
    assert 0 <= snapshot[6][0]["statistics"]["min"] < snapshot[6][0]["statistics"]["mean"] < 1
    # Neither a pickle nor anything else that could run: the libraries' own formats.
    files = dict(warm.execute("select path, data from pgml.files where model_id = %s", [model_id]).fetchall())
    assert json.loads(files.pop("encoding.json"))["labels"] == [label]
    ((path, data),) = files.items()
    start = {"estimator.ubj": b"{L", "estimator.txt": b"tree\n", "estimator.json": b'{"coefficients"'}[path]
    assert data.startswith(start)
    deployed = warm.execute("select strategy from pgml.deployments where model_id = %s", [model_id]).fetchall()
    assert deployed == [("new_score",)]


def test_defaults_are_those_of_postgresml(warm):
    answer = warm.execute("select * from pgml.train('defaults', 'regression', 'regression', 'y')").fetchone()
    assert answer == ("defaults", "regression", "linear", True)
    assert warm.execute(
        "select test_size, test_sampling, materialized from pgml.snapshots order by id desc limit 1"
    ).fetchone() == (0.25, "stratified", False)
    arguments = warm.execute("select pg_get_function_arguments('pgml.train'::regproc)").fetchone()[0]
    names = [argument.split()[0] for argument in arguments.split(", ")]
    assert " ".join(names[:15]) == (
        "project_name task relation_name y_column_name algorithm hyperparams search search_params search_args "
        "test_size test_sampling runtime automatic_deploy materialize_snapshot preprocess"
    )


@pytest.mark.parametrize("algorithm", ["xgboost", "lightgbm", "linear"])
def test_two_trainings_on_the_same_rows_give_the_same_bytes(warm, algorithm):
    hyperparams = {} if algorithm == "linear" else {"subsample": 0.8, "n_estimators": 20}
    for sampling in ("last", "random", "stratified"):
        files = []
        for _ in range(2):
            train(warm, f"same {algorithm}", "classification", "classification", "label", algorithm, hyperparams,
                  test_sampling=sampling)  # fmt: skip
            files.append(dict(warm.execute(NEWEST_FILES).fetchall()))
        assert files[0] == files[1] and len(files[0]) == 2


def test_the_test_rows_are_the_last_of_an_ordered_view(warm):
    """Only the rows with a small x have large labels: a model that was tested on those has a large error."""
    warm.execute(
        "create table public.drifting as select i::float8 as x, i % 7 + 1000 * (i <= 20)::int as y "
        "from generate_series(1, 200) as i"
    )
    warm.execute("create view public.drifting_down as select * from public.drifting order by x desc")
    errors = {}
    for relation in ("drifting", "drifting_down"):
        train(warm, relation, "regression", relation, "y", "linear", test_size=20, test_sampling="last")
        errors[relation] = newest_model(warm, "(metrics ->> 'mean_absolute_error')::float8")[0]
    assert errors["drifting_down"] > 500 > errors["drifting"]


def test_a_worse_model_is_not_deployed_and_a_tie_is(warm):
    good, bad = {"n_estimators": 30}, {"n_estimators": 1, "eta": 0.01}
    deployed = [
        train(warm, "rule", "regression", "regression", "y", "xgboost", settings, **named)[3]
        for settings, named in [(good, {}), (bad, {}), (good, {}), (good, {"automatic_deploy": False})]
    ]
    assert deployed == [True, False, True, False]


def test_a_training_without_a_relation_repeats_the_last_snapshot(warm):
    steps = {"x1": {"impute": "mean", "scale": "standard"}}
    train(warm, "again", "regression", "regression", "y", "xgboost", test_size=100, test_sampling="last",
          preprocess=json.dumps(steps))  # fmt: skip
    first = warm.execute(NEWEST_FILES).fetchall()
    assert {path for path, _ in first} == {"estimator.ubj", "preprocess.json", "encoding.json"}
    warm.execute("select pgml.train('again', algorithm => 'xgboost', test_size => 0.9)")
    assert warm.execute(NEWEST_FILES).fetchall() == first
    assert warm.execute("select test_size from pgml.snapshots order by id desc limit 1").fetchone() == (100,)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match='project "never" was never trained'):
        warm.execute("insert into pgml.projects (name, task) values ('never', 'regression')")
        warm.execute("select pgml.train('never')")


def test_missing_values_are_an_error_or_imputed(warm):
    warm.execute(
        "create view public.holes as select nullif(x1, x1 * (x2 > 0.9)::int) as x1, x2, y from public.rows_1000"
    )
    with pytest.raises(psycopg.errors.DataException, match=r'column "x1" holds \d+ missing values'):
        train(warm, "holes", "regression", "holes", "y")
    train(warm, "holes", "regression", "holes", "y", preprocess='{"x1": {"impute": "median", "scale": "min_max"}}')
    model_id, r2 = newest_model(warm, "id", "(metrics ->> 'r2')::float8")
    assert r2 > 0.8
    predicted = warm.execute("select pgml.predict(%s::bigint, array['NaN', 0.5]::real[])", [model_id]).fetchone()[0]
    assert 0 < predicted < 4


def test_numbers_of_every_type_and_order_are_features(warm):
    warm.execute("create domain public.share as numeric; create domain public.part as public.share")
    warm.execute(
        'create table public."Mixed ""Case" as select x1 > 0.5 as b, (x1 * 9)::int2 as i2, (x1 * 99)::int4 as i4, '
        '(x1 * 999)::int8 as i8, x1::float4 as f4, x1::numeric as n, x1::public.part as "d;--", x2 as f8, y '
        "from rows_1000"
    )
    train(warm, "types", "regression", 'Mixed "Case', "y", "linear")
    assert newest_model(warm, "num_features") == (8,)
    # PostgresML rounds numeric to whole numbers; with those x1 could not be told.
    assert newest_model(warm, "(metrics ->> 'r2')::float8")[0] > 0.9


def test_materialized_views_and_partitioned_tables_are_relations(warm):
    warm.execute("create materialized view public.frozen as select * from public.regression")
    warm.execute("create table public.parted (like public.rows_1000) partition by range (x1)")
    warm.execute("create table public.part_of_it partition of public.parted for values from (0) to (1)")
    warm.execute("insert into public.parted select * from public.rows_1000")
    for relation in ("frozen", "public.parted"):
        assert train(warm, f"kind {relation}", "regression", relation, "y")[3]


def test_one_short_notice_without_a_value(engine_db):
    with psycopg.connect(engine_db, autocommit=True) as connection:
        messages = []
        connection.add_notice_handler(lambda diagnostic: messages.append(diagnostic.message_primary))
        train(connection, "quiet", "classification", "classification", "label", "lightgbm")
    assert len(messages) == 1
    assert messages[0].startswith('project "quiet": model ') and len(messages[0]) < 200


REFUSALS = [
    ({"task": "clustering"}, "InvalidParameterValue", 'task must be regression or classification, got "clustering"'),
    ({"task": None}, "InvalidParameterValue", 'project "{new}" does not exist; to create it give a task'),
    ({"project_name": None}, "InvalidParameterValue", "project_name must be given"),
    ({"relation_name": "nowhere"}, "UndefinedTable", 'relation "public.nowhere" does not exist'),
    ({"relation_name": "a.b.c"}, "InvalidParameterValue", 'relation_name must be "relation" or "schema.relation"'),
    ({"relation_name": "regression; drop table x"}, "UndefinedTable", "does not exist"),
    ({"relation_name": '(select 1) as r; select "'}, "UndefinedTable", "does not exist"),
    ({"y_column_name": "z"}, "UndefinedColumn", 'has no column "z" to learn; it has: x1, x2, x3, y'),
    ({"y_column_name": None}, "InvalidParameterValue", "y_column_name must be given"),
    ({"algorithm": "kmeans"}, "FeatureNotSupported", 'algorithm "kmeans" is not supported'),
    ({"algorithm": "catboost"}, "FeatureNotSupported", "catboost needs the Python package catboost"),
    ({"algorithm": "perceptron"}, "FeatureNotSupported", "perceptron is for classification only, not for regression"),
    ({"algorithm": "ridge", "hyperparams": '{"depth": 3}'}, "InvalidParameterValue", "known are: alpha, "),
    ({"algorithm": "ridge", "hyperparams": '{"alpha": -1}'}, "InvalidParameterValue", "'alpha' parameter of Ridge"),
    ({"algorithm": "svm", "hyperparams": '{"kernel": "x"}'}, "InvalidParameterValue", "'kernel' parameter of SVR must"),
    ({"algorithm": "bagging", "hyperparams": '{"n_jobs": 2}'}, "InvalidParameterValue", "must be at most 1, got 2"),
    ({"algorithm": "bagging", "hyperparams": '{"estimator": "x"}'}, "InvalidParameterValue", "'estimator' parameter"),
    ({"algorithm": "nu_svm", "hyperparams": '{"random_state": 1}'}, "InvalidParameterValue", "unknown hyperparameter"),
    ({"seed": -1}, "InvalidParameterValue", "seed must be from 0 to 2147483647, got -1"),
    ({"time_column": "z"}, "UndefinedColumn", 'has no column "z" to order the rows by'),
    ({"time_column": "y"}, "InvalidParameterValue", 'time_column must not be the label "y"'),
    ({"preprocess_params": '{"texts": {}}'}, "InvalidParameterValue", 'unknown key "texts"; known is text_columns'),
    ({"preprocess_params": '{"text_columns": {"x9": {}}}'}, "UndefinedColumn", 'no feature column "x9"'),
    ({"preprocess_params": '{"text_columns": {"x1": {}}}'}, "DatatypeMismatch", '"x1", which is of type float8'),
    ({"preprocess_params": '{"text_columns": {"x1": {"imputer": "mean"}}}'}, "InvalidParameterValue", '"constant"'),
    ({"hyperparams": '{"depth": 3}'}, "InvalidParameterValue", 'unknown hyperparameter "depth" for xgboost'),
    ({"hyperparams": "[1]"}, "InvalidParameterValue", "hyperparams must be a JSON object"),
    ({"search": "grid"}, "InvalidParameterValue", "search grid needs search_params"),
    ({"search_params": '{"eta": 1}'}, "InvalidParameterValue", '"eta" must be an array of values to try, got 1'),
    ({"search_params": '{"depth": [1]}'}, "InvalidParameterValue", 'unknown hyperparameter "depth"'),
    ({"search_args": '{"folds": 3}'}, "InvalidParameterValue", 'unknown key "folds"; known are n_iter, cv'),
    ({"search_args": '{"cv": 0}'}, "InvalidParameterValue", "cv must be a whole number of at least 1, got 0"),
    ({"search": "grid", "search_params": '{"eta": [0.1]}', "search_args": '{"cv": 376}'}, "InvalidParameterValue",
     "needs at least 752 training rows, got 750"),
    ({"search_params": '{"eta": [0.1]}', "hyperparams": '{"eta": 1}'}, "InvalidParameterValue", "both hyperparams and"),
    ({"runtime": "rust"}, "FeatureNotSupported", "runtime rust is not supported"),
    ({"test_size": 1.0}, "DataException", "test_size 1 of 1000 rows leaves no row to train on"),
    ({"test_size": 0}, "InvalidParameterValue", "test_size must be above 0"),
    ({"preprocess": '{"x9": {}}'}, "UndefinedColumn", 'no feature column "x9"'),
    ({"preprocess": '{"x1": {"encode": "one_hot"}}'}, "FeatureNotSupported", 'encode "one_hot" of "x1"'),
    ({"relation_name": "dated"}, "DatatypeMismatch", 'column "day" .* is of type timestamptz'),
    ({"relation_name": "empty"}, "DataException", "has no rows that the caller may see"),
    ({"relation_name": "one_row"}, "DataException", "leaves no row to t"),
    ({"relation_name": "null_label"}, "DataException", 'the label "y" is NULL or NaN in 100 of 1000 rows'),
    ({"relation_name": "nan_feature"}, "DataException", 'column "x1" holds 1000 missing values'),
    ({"relation_name": "all_null"}, "DataException", 'column "x1" holds 1000 missing values'),
    ({"relation_name": "infinite"}, "DataException", 'column "x1" .* holds 1000 infinite values'),
    ({"relation_name": "too_large"}, "DataException", 'column "x1" .* holds 1000 infinite values'),
    ({"relation_name": "constant"}, "DataException", 'the label "y" has one value only in all 750 training rows'),
    ({"relation_name": "label_alone"}, "InvalidParameterValue", 'has no column besides the label "y"'),
    ({"relation_name": "failing"}, "DivisionByZero", "division by zero"),
]  # fmt: skip

BAD_RELATIONS = """
create view public.text_feature as select x1, 'a'::text as words, y from rows_1000;
create view public.dated as select x1, now() as day, y from rows_1000;
create view public.empty as select x1, y from rows_1000 where false;
create view public.one_row as select x1, y from rows_1000 limit 1;
create view public.null_label as select x1, case when i > 100 then y end as y
from (select *, row_number() over () as i from rows_1000) as r;
create view public.nan_feature as select 'NaN'::float8 as x1, y from rows_1000;
create view public.all_null as select null::float8 as x1, y from rows_1000;
create view public.infinite as select 'Infinity'::float8 as x1, y from rows_1000;
create view public.too_large as select 1e300::float8 as x1, y from rows_1000;
create view public.constant as select x1, 1::float8 as y from rows_1000;
create view public.label_alone as select y from rows_1000;
create view public.failing as select 1 / (x1 * 0)::int as x1, y from rows_1000;
create view public.one_class as select x1, 1 as y from rows_1000;
create view public.gap as select x1, label * 2 as y from rows_1000;
create view public.text_label as select x1, case label when 1 then 'yes' else 'no' end as y from rows_1000;
create view public.late_class as select x1, (i > 900)::int as y
from (select *, row_number() over () as i from rows_1000) as r;
"""


@pytest.fixture(scope="module")
def bad_relations(warm, relations):
    warm.execute(BAD_RELATIONS)


def counts(connection):
    tables = ("projects", "snapshots", "models", "files", "deployments", "project_owners", "snapshot_owners")
    return [connection.execute(f"select count(*) from pgml.{table}").fetchone() for table in tables]


@pytest.mark.parametrize(("changed", "error", "words"), REFUSALS, ids=[str(case[0]) for case in REFUSALS])
def test_what_cannot_be_trained_is_refused_in_words_and_leaves_nothing(warm, bad_relations, changed, error, words):
    before = counts(warm)
    arguments = {"project": "refused", "task": "regression", "relation": "regression", "label": "y"}
    short = {"project_name": "project", "relation_name": "relation", "y_column_name": "label"}
    arguments |= {short.get(name, name): value for name, value in changed.items() if name != "hyperparams"}
    if "hyperparams" in changed:
        arguments["hyperparams"] = json.loads(changed["hyperparams"])
    with pytest.raises(getattr(psycopg.errors, error), match=words.format(new="refused")):
        train(warm, **arguments)
    assert counts(warm) == before


@pytest.mark.parametrize(
    ("relation", "error", "words"),
    [
        (
            "one_class",
            "DataException",
            r'the label "y" of a classification must be whole numbers 0, 1, ...; found 1|found 1',
        ),
        ("gap", "DataException", "texts, or whole numbers 0, 1, ... without a gap; found 0, 2"),
        ("regression", "DataException", "whole numbers 0, 1, ... without a gap; found .*, ..."),
        ("constant", "DataException", "found 1"),
    ],
)
@pytest.mark.parametrize("algorithm", ["xgboost", "lightgbm", "linear"])
def test_labels_that_are_no_classes_are_refused(warm, bad_relations, relation, error, words, algorithm):
    with pytest.raises(getattr(psycopg.errors, error), match=words):
        train(warm, "classes", "classification", relation, "y", algorithm)


def test_a_class_that_only_the_test_rows_have_is_refused(warm, bad_relations):
    with pytest.raises(psycopg.errors.DataException, match='"y" has one class only in all 900 training rows'):
        train(warm, "late", "classification", "late_class", "y", test_size=100, test_sampling="last")
    assert train(warm, "late", "classification", "late_class", "y", test_size=100)[3]


@pytest.mark.parametrize("algorithm", ["xgboost", "lightgbm", "linear"])
def test_a_rare_class_of_several_may_be_missing_on_one_side(warm, algorithm):
    """PostgresML fails the whole training."""
    for side, last in (("training", 990), ("test", 10)):
        warm.execute(
            f"create or replace view public.rare as select x1, x2, case when i between {last} and {last} + 9 then 2 "
            "else (x1 > 0.5)::int end as y from (select *, row_number() over () as i from rows_1000) as r order by i"
        )
        train(warm, f"rare in {side}", "classification", "rare", "y", algorithm, test_size=100, test_sampling="last")
        accuracy, f1 = newest_model(warm, "(metrics ->> 'accuracy')::float8", "(metrics ->> 'f1')::float8")
        assert accuracy > 0.8 and f1 > 0.5
        chances = warm.execute(f"select pgml.predict_proba('rare in {side}', array[0.9, 0.5]::real[])").fetchone()[0]
        assert len(chances) == 3 and sum(chances) == pytest.approx(1, abs=1e-5) and max(chances) == chances[1]


def test_a_boolean_is_a_label(warm):
    warm.execute("create view public.flagged as select x1, x2, flag from rows_1000")
    assert train(warm, "flag", "classification", "flagged", "flag", "lightgbm")[3]
    assert newest_model(warm, "(metrics ->> 'roc_auc')::float8")[0] > 0.99


def test_a_project_keeps_its_task(warm):
    train(warm, "one task", "regression", "regression", "y", "linear")
    with pytest.raises(
        psycopg.errors.InvalidParameterValue, match='"one task" is for regression, not for classification'
    ):
        train(warm, "one task", "classification", "classification", "label")


def test_more_cells_than_a_backend_may_hold_are_refused(admin):
    admin.execute("do $$ import pgml_engine.relation as r; r.MAX_CELLS = 3999 $$ language plpython3u")
    with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="more than 999 rows of 4 columns; .* at most 3999"):
        train(admin, "huge", "regression", "regression", "y", "linear")
    admin.execute("do $$ import pgml_engine.relation as r; r.MAX_CELLS = 4000 $$ language plpython3u")
    assert train(admin, "huge", "regression", "regression", "y", "linear")[3]
