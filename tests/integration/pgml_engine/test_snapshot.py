"""Copies of a relation's rows, and the data sets that come along: who may read and make them."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql


def become(connection, role):
    connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)) if role else "reset role")


@pytest.fixture(scope="module", autouse=True)
def living(warm):
    warm.execute(
        "create table public.living as select i::float8 as x, array[i, 1] as a, 'w' || i % 3 as word, now() as at, "
        "2 * i as y "
        "from generate_series(1, 100) as i"
    )


@pytest.fixture
def as_client(warm, client):
    yield lambda number: become(warm, client(number))
    become(warm, None)


def test_a_copy_is_what_the_model_learned_from_and_a_training_without_a_relation_reads_it_again(warm):
    call = (
        "select pgml.train('frozen', 'regression', 'living', 'y', {}, time_column => 'at', "
        "materialize_snapshot => true)"
    )
    warm.execute(call.format("'xgboost'"))
    snapshot, materialized, analysis, columns = warm.execute(
        "select id, materialized, analysis, columns from pgml.snapshots order by id desc limit 1"
    ).fetchone()
    assert materialized and analysis == {"samples": 100}
    assert [column["name"] for column in columns] == ["x", "a", "word", "y"]
    assert columns[0]["statistics"]["max"] == 100
    copied = f"select x, a, word, at, y from pgml.snapshot_{snapshot}"
    assert warm.execute(copied).fetchall() == warm.execute("select x, a, word, at, y from public.living").fetchall()
    first = warm.execute("select data from pgml.files where path = 'estimator.ubj' order by id desc limit 1").fetchone()
    warm.execute("update public.living set y = 0")
    warm.execute("select pgml.train('frozen', algorithm => 'xgboost')")
    again = warm.execute("select data from pgml.files where path = 'estimator.ubj' order by id desc limit 1").fetchone()
    assert again == first
    assert warm.execute("select max(id) from pgml.snapshots").fetchone() == (snapshot,)
    warm.execute("delete from pgml.snapshots where id = %s", [snapshot])
    assert warm.execute("select to_regclass(%s)", [f"pgml.snapshot_{snapshot}"]).fetchone() == (None,)


def test_a_training_that_fails_leaves_no_copy(warm):
    before = warm.execute("select count(*) from pg_class where relnamespace = 'pgml'::regnamespace").fetchone()
    warm.execute("create view public.same as select x, 1 as y from public.living")
    with pytest.raises(psycopg.errors.DataException, match="one value only"):
        warm.execute("select pgml.train('fails', 'regression', 'same', 'y', materialize_snapshot => true)")
    assert warm.execute("select count(*) from pg_class where relnamespace = 'pgml'::regnamespace").fetchone() == before


def test_a_snapshot_of_its_own(warm):
    warm.execute("create or replace view public.plain as select x, word, 2 * x as y from public.living")
    answer = warm.execute(
        "select * from pgml.snapshot('plain', 'y', preprocess => '{\"word\": {\"encode\": \"one_hot\"}}')"
    )
    assert answer.fetchone() == ("plain", "y")
    snapshot, materialized, size, columns = warm.execute(
        "select id, materialized, test_size, columns from pgml.snapshots order by id desc limit 1"
    ).fetchone()
    assert materialized and size == 0.25
    assert columns[1]["preprocessor"]["encode"] == "one_hot" and columns[1]["statistics"] == {
        "distinct": 3,
        "missing": 0,
    }
    assert warm.execute(f"select count(*) from pgml.snapshot_{snapshot}").fetchone() == (100,)
    assert warm.execute("select * from pgml.snapshot('plain', null)").fetchall() == []


def test_a_copy_is_its_owners_alone_and_holds_its_owners_rows(warm, as_client, install_pgml, engine_db):
    copies = {}
    for number in (1, 2):
        as_client(number)
        warm.execute(
            "select pgml.train(%s, 'regression', %s, 'y', materialize_snapshot => true)",
            [f"copy of {number}", f"ml_client_{number}.rows"],
        )
        copies[number] = warm.execute("select max(id) from pgml.snapshots").fetchone()[0]
        assert warm.execute(f"select count(*) from pgml.snapshot_{copies[number]}").fetchone() == (200,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        warm.execute(f"select * from pgml.snapshot_{copies[1]}")
    # Installing again grants nothing, and a grant shows nothing.
    become(warm, None)
    with psycopg.connect(engine_db) as connection:
        install_pgml(connection)
    warm.execute(f"grant select on pgml.snapshot_{copies[1]} to pgml_user")
    as_client(2)
    assert warm.execute(f"select count(*) from pgml.snapshot_{copies[1]}").fetchone() == (0,)
    become(warm, None)
    warm.execute(f"revoke select on pgml.snapshot_{copies[1]} from pgml_user")


def test_nobody_has_a_table_made_for_a_snapshot_that_is_there(warm, as_client):
    as_client(1)
    for snapshot in (warm.execute("select max(id) from pgml.snapshots").fetchone()[0], -1):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="is not one that this transaction has made"):
            warm.execute("select pgml._materialize(%s, array['x'], array['text'])", [snapshot])


def test_a_data_set_is_filled_anew_and_its_views_stay(warm, as_client):
    as_client(1)
    assert warm.execute("select * from pgml.load_dataset('wine', \"limit\" => 5)").fetchone() == ("pgml.wine", 5)
    become(warm, None)
    warm.execute("create view public.reds as select * from pgml.wine")
    as_client(2)
    assert warm.execute("select * from pgml.load_dataset('wine')").fetchone() == ("pgml.wine", 178)
    assert warm.execute("select count(*) from pgml.wine").fetchone() == (178,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        warm.execute("delete from pgml.wine")
    become(warm, None)
    assert warm.execute("select count(*) from public.reds").fetchone() == (178,)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        ("'jdxcosta/diamonds'", "FeatureNotSupported", "is not one of those that come along: breast_cancer"),
        ("'iris; drop table x'", "FeatureNotSupported", "is not one of those"),
        ("null", "FeatureNotSupported", "is not one of those"),
        ("'iris', 'small'", "InvalidParameterValue", 'has no subset "small"'),
        ("'iris', \"limit\" => -1", "InvalidParameterValue", "limit must not be negative, got -1"),
    ],
)
def test_other_data_sets_are_refused(warm, call, error, words):
    with pytest.raises(getattr(psycopg.errors, error), match=words):
        warm.execute(f"select pgml.load_dataset({call})")


def test_metrics_of_two_arrays(warm):
    found = warm.execute(
        "select pgml.sklearn_r2_score(array[1, 2, 3], array[1, 2, 5]), "
        "pgml.sklearn_f1_score(array[0, 1, 1], array[0, 1, 0]), "
        "pgml.sklearn_regression_metrics(array[1, 2, 3], array[1, 2, 5]), "
        "pgml.sklearn_classification_metrics(array[0, 1, 2], array[0, 1, 1], 3)"
    ).fetchone()
    assert found[0] == -1 and found[1] == pytest.approx(2 / 3)
    assert found[2]["mean_squared_error"] == pytest.approx(4 / 3)
    assert found[3]["accuracy"] == pytest.approx(2 / 3)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="same number of values.*got 1 and 2"):
        warm.execute("select pgml.sklearn_r2_score(array[1], array[1, 2])")
    with pytest.raises(psycopg.errors.DataException, match="whole numbers from 0 to 1"):
        warm.execute("select pgml.sklearn_classification_metrics(array[0, 1, 2], array[0, 1, 1], 2)")
    for call in ("classification_metrics(array[0], array[0], 711001001)", "f1_score(array[711001001], array[0])"):
        with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="num_classes must be 1000 at most"):
            warm.execute(f"select pgml.sklearn_{call}")
