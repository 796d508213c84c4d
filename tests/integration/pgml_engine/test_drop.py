"""pgml.drop_model, pgml.drop_project, pgml.metrics."""

from __future__ import annotations

import psycopg
import pytest


@pytest.fixture(scope="module", autouse=True)
def relation(warm):
    warm.execute(
        "create table public.dropped as select random() as x1, random() as x2, random() as y, "
        "(random() > 0.5)::int as label from generate_series(1, 200)"
    )
    warm.execute("create view public.dropped_numbers as select x1, x2, y from public.dropped")
    warm.execute("create view public.dropped_classes as select x1, x2, label from public.dropped")


def train(warm, project, **named):
    call = "".join(f", {key} => %s" for key in named)
    warm.execute(
        f"select pgml.train(%s, 'regression', 'dropped_numbers', 'y', 'linear'{call})", [project, *named.values()]
    )
    return warm.execute("select currval('pgml.models_id_seq')").fetchone()[0]


def left(warm, project, model):
    """Rows of the project, the model and all that hangs on them."""
    queries = [
        "select count(*) from pgml.projects where name = %(project)s",
        "select count(*) from pgml.models where id = %(model)s",
        "select count(*) from pgml.files where model_id = %(model)s",
        "select count(*) from pgml.deployments where model_id = %(model)s",
        "select count(*) from pgml.model_reports where model_id = %(model)s",
    ]
    return [warm.execute(query, {"project": project, "model": model}).fetchone()[0] for query in queries]


def test_a_model_is_dropped_with_all_that_hangs_on_it(warm):
    first, second = train(warm, "drop one"), train(warm, "drop one", automatic_deploy=False)
    snapshot = warm.execute("select snapshot_id from pgml.models where id = %s", [second]).fetchone()[0]
    assert warm.execute("select * from pgml.drop_model(%s)", [second]).fetchone() == ("drop one", second, False)
    assert left(warm, "drop one", second) == [1, 0, 0, 0, 0]
    assert not warm.execute("select from pgml.snapshots where id = %s", [snapshot]).fetchall()
    assert left(warm, "drop one", first)[1:4] != [0, 0, 0]


def test_the_deployed_model_goes_only_when_that_is_said(warm):
    first = train(warm, "drop deployed")
    second = train(warm, "drop deployed")
    warm.execute("select pgml.deploy(%s)", [second])
    with pytest.raises(psycopg.errors.ObjectInUse, match=f'model {second} answers for the project "drop deployed"'):
        warm.execute("select pgml.drop_model(%s)", [second])
    assert warm.execute("select * from pgml.drop_model(%s, force => true)", [second]).fetchone()[2]
    answers = warm.execute("select id from pgml.deployed_models where name = 'drop deployed'").fetchall()
    assert answers == [(first,)]
    warm.execute("select pgml.predict('drop deployed', array[0.5, 0.5]::real[])")
    warm.execute("select pgml.drop_model(%s, true)", [first])
    with pytest.raises(psycopg.errors.UndefinedObject, match="No deployed model"):
        warm.execute("select pgml.predict('drop deployed', array[0.5, 0.5]::real[])")


def test_a_project_is_dropped_with_its_copies(warm):
    model = train(warm, "drop all", materialize_snapshot=True)
    train(warm, "drop all")
    copy = warm.execute("select 'pgml.snapshot_' || snapshot_id from pgml.models where id = %s", [model]).fetchone()[0]
    assert warm.execute("select to_regclass(%s) is not null", [copy]).fetchone()[0]
    with pytest.raises(psycopg.errors.ObjectInUse, match='project "drop all" has the deployed model'):
        warm.execute("select pgml.drop_project('drop all')")
    assert warm.execute("select * from pgml.drop_project('drop all', true)").fetchone() == ("drop all", 2)
    assert left(warm, "drop all", model) == [0, 0, 0, 0, 0]
    assert warm.execute("select to_regclass(%s) is null", [copy]).fetchone()[0]


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ("pgml.drop_model(0)", "model 0 does not exist"),
        ("pgml.drop_project('nothing')", '"nothing" does not exist'),
        ("pgml.metrics('nothing')", '"nothing"'),
        ("pgml.metrics(0)", "model 0 does not exist"),
    ],
)
def test_what_is_not_there_is_said(warm, call, named):
    with pytest.raises(psycopg.errors.UndefinedObject, match=f"pgml: .*{named}"):
        warm.execute(f"select {call}")


def test_only_the_owner_drops(warm, client):
    first, second = client(1), client(2)
    warm.execute(f"set role {first}")
    try:
        warm.execute("select pgml.train('of the first', 'regression', 'ml_client_1.rows', 'y', 'linear')")
        warm.execute(f"set role {second}")
        with pytest.raises(psycopg.errors.UndefinedObject):
            warm.execute("select pgml.drop_project('of the first', true)")
        warm.execute(f"set role {first}")
        warm.execute("select pgml.share_project('of the first', %s)", [second])
        warm.execute(f"set role {second}")
        model = warm.execute("select id from pgml.deployed_models where name = 'of the first'").fetchone()[0]
        for call in ("drop_project('of the first', true)", f"drop_model({model}, true)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="belongs to another role"):
                warm.execute(f"select pgml.{call}")
        warm.execute(f"set role {first}")
        warm.execute("select pgml.drop_project('of the first', true)")
    finally:
        warm.execute("reset role")


def test_metrics_are_those_of_the_deployed_model(warm):
    train(warm, "metrics")
    deployed = warm.execute("select id from pgml.deployed_models where name = 'metrics'").fetchone()[0]
    stored = warm.execute("select metrics from pgml.models where id = %s", [deployed]).fetchone()[0]
    found = warm.execute("select pgml.metrics('metrics')").fetchone()[0]
    assert found == warm.execute("select pgml.metrics(%s)", [deployed]).fetchone()[0]
    assert {"r2", "mean_absolute_error"} <= set(found)
    assert found.pop("report") and found == stored
    warm.execute("select pgml.train('class metrics', 'classification', 'dropped_classes', 'label', 'xgboost')")
    classes = warm.execute("select pgml.metrics('class metrics') -> 'report' -> 'classes'").fetchone()[0]
    assert [one["class"] for one in classes] == ["0", "1"]
