"""pgml.deploy: which model answers, from when on, and for whom."""

from __future__ import annotations

import json
import threading

import psycopg
import pytest

ASK = "select pgml.predict('ladder', array[0.3, 0.6]::real[])"


def train(connection, project, rounds, algorithm="xgboost", **named):
    connection.execute(
        "select pgml.train(%s, 'regression', 'steps', 'y', %s::pgml.algorithm, %s, automatic_deploy => %s)",
        [project, algorithm, json.dumps({"n_estimators": rounds}), named.get("automatic_deploy", False)],
    )
    return connection.execute("select currval('pgml.models_id_seq')").fetchone()[0]


@pytest.fixture(scope="module")
def ladder(warm):
    """Four models of one project, none deployed. The first two are worse than the mean: their r2 is negative."""
    warm.execute(
        "create table public.steps as select x1, x2, 50 + x1 + x2 as y from (select setseed(0.1)) as seed, "
        "lateral (select random() as x1, random() as x2 from generate_series(1, 400)) as r"
    )
    ids = [train(warm, "ladder", rounds) for rounds in (20, 5)] + [train(warm, "ladder", 40, "lightgbm")]
    scores = "update pgml.models set metrics = jsonb_set(metrics, '{r2}', %s) where id = %s"
    # As text -0.9 would come after -0.3.
    for model, r2 in zip(ids, ("-0.3", "-0.9", "null"), strict=True):
        warm.execute(scores, [r2, model])
    return ids


def current(connection):
    row = connection.execute("select id from pgml.deployed_models where name = 'ladder'").fetchone()
    return row and row[0]


def test_each_strategy_deploys_what_it_says(warm, ladder):
    good, bad, unscored = ladder
    with pytest.raises(
        psycopg.errors.UndefinedObject, match='No deployed model exists for the project named: "ladder"'
    ):
        warm.execute(ASK)
    with pytest.raises(psycopg.errors.UndefinedObject, match='"ladder" has no model that was deployed before'):
        warm.execute("select pgml.deploy('ladder', 'rollback')")
    steps = [
        ("pgml.deploy('ladder', 'best_score')", ("ladder", "best_score", "xgboost"), good),
        ("pgml.deploy('ladder', 'most_recent')", ("ladder", "most_recent", "lightgbm"), unscored),
        ("pgml.deploy('ladder', 'rollback')", ("ladder", "rollback", "xgboost"), good),
        # As with PostgresML, a second rollback goes forth again.
        ("pgml.deploy('ladder', 'rollback')", ("ladder", "rollback", "lightgbm"), unscored),
        ("pgml.deploy('ladder', 'most_recent', 'xgboost')", ("ladder", "most_recent", "xgboost"), bad),
        (f"pgml.deploy({good}::bigint)", ("ladder", "specific", "xgboost"), good),
    ]
    for call, answer, model in steps:
        assert warm.execute(f"select * from {call}").fetchone() == answer
        assert current(warm) == model
        direct = warm.execute("select pgml.predict(%s::bigint, array[0.3, 0.6]::real[])", [model]).fetchone()
        assert warm.execute(ASK).fetchone() == direct
    history = warm.execute("select count(*) from pgml.overview where name = 'ladder'").fetchone()
    assert history == (len(steps),)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        ("'ladder', 'new_score'", "InvalidParameterValue", "invalid strategy new_score: it must be one of best_score"),
        ("'ladder', 'specific'", "InvalidParameterValue", "invalid strategy specific"),
        ("'ladder', null", "InvalidParameterValue", "invalid strategy"),
        ("'nobody', 'best_score'", "UndefinedObject", 'project "nobody" does not exist'),
        ("'ladder', 'best_score', 'linear'", "UndefinedObject", 'project "ladder" has no linear model'),
        ("-7::bigint", "UndefinedObject", "model -7 does not exist"),
    ],
)
def test_what_cannot_be_deployed_is_refused_with_its_name(warm, ladder, call, error, words):
    with pytest.raises(getattr(psycopg.errors, error), match=words):
        warm.execute(f"select pgml.deploy({call})")


def test_a_model_that_did_not_succeed_is_not_deployed(warm, ladder):
    warm.execute("update pgml.models set status = 'failed' where id = %s", [ladder[1]])
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="its status is failed, not successful"):
        warm.execute("select pgml.deploy(%s::bigint)", [ladder[1]])


def test_a_deployment_takes_effect_with_its_transaction_in_every_session(engine_db, warm, ladder):
    """PostgresML's other sessions switch before the commit, and after a rollback too."""
    good, _, other = ladder
    warm.execute("select pgml.deploy(%s::bigint)", [good])
    before = warm.execute(ASK).fetchone()
    with psycopg.connect(engine_db) as deploying, psycopg.connect(engine_db, autocommit=True) as asking:
        for end in (deploying.rollback, deploying.commit):
            deploying.execute("select pgml.deploy(%s::bigint)", [other])
            assert deploying.execute(ASK).fetchone() != before
            assert asking.execute(ASK).fetchone() == before
            end()
        assert asking.execute(ASK).fetchone() != before
        assert warm.execute(ASK).fetchone() == asking.execute(ASK).fetchone()


def test_a_training_that_is_rolled_back_never_was(engine_db, warm, ladder):
    with psycopg.connect(engine_db) as connection:
        model = train(connection, "undone", 5, automatic_deploy=True)
        ask = "select pgml.predict(%s::bigint, array[0.3, 0.6]::real[])"
        assert connection.execute(ask, [model]).fetchone()[0] > 0
        connection.rollback()
        # The session has loaded the model, and must not answer with it.
        with pytest.raises(psycopg.errors.UndefinedObject):
            connection.execute(ask, [model])


@pytest.mark.parametrize("same_owner", [True, False])
def test_of_two_sessions_that_make_one_project_at_once_the_second_waits(engine_db, warm, ladder, client, same_owner):
    name = f"contested {same_owner}"
    warm.execute("grant select on public.steps to pgml_user")
    with psycopg.connect(engine_db, user=client(1)) as first:
        train(first, name, 3)
        outcome = []

        def second():
            try:
                with psycopg.connect(engine_db, user=client(1 if same_owner else 2)) as connection:
                    outcome.append(train(connection, name, 3))
            except psycopg.Error as error:
                outcome.append(error.sqlstate)

        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.7)
        assert thread.is_alive()
        first.commit()
        thread.join(5)
    models = warm.execute(
        "select count(*) from pgml.models as m join pgml.projects as p on m.project_id = p.id where p.name = %s", [name]
    ).fetchone()
    # PostgresML's second session gets a duplicate key error, whoever it is.
    assert outcome == ["42501"] and models == (1,) if not same_owner else models == (2,)
