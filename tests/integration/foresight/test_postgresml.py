"""On PostgresML, which knows no owners of models: clients reach it through the gateway, and none another's models.

Without --pgml-dsn a stand-in is asked (tests/support/postgresml.sql).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import errors, sql

from include.foresight import clients, names, pgml, preparation
from include.foresight.database import REPLICA, Databases, Transaction
from include.foresight.load import Meter
from tests.support import demo_night, nights
from tests.support.installation import Installation
from tests.support.nights import LEARNED, ROWS, Bench

SCALE = pgml.Scale("regression", "log1p")
LABELS = np.log(2 + np.arange(1, ROWS + 1) % 8)  # of the view `good`


@pytest.fixture(scope="module")
def installed(new_postgresml) -> Iterator[Installation]:
    with new_postgresml() as made:
        made.install()
        yield made


@pytest.fixture(scope="module")
def other(installed: Installation, databases: Databases, client_ids: Iterator[int]) -> Bench:
    """Another client, with a table and a model of its own."""
    made = nights.bench(installed, databases, next(client_ids))
    made.build()
    return made


def fit(bench: Bench, **other: Any) -> pgml.Trained:
    wanted = {
        "project": bench.project,
        "task": "regression",
        "relation": f"{bench.schema}.{nights.TABLE}_good",
        "algorithm": "linear",
        "hyperparams": {},
        "test_rows": ROWS - LEARNED,
        "limit": 60,
    } | other
    with bench.databases.session(REPLICA) as replica:
        return pgml.train(bench.databases, REPLICA, bench.client_id, session=replica, **wanted)


def call(bench: Bench, query: str, *values: Any) -> list[tuple]:
    """Rows of a statement of the client's own."""
    with bench.databases.session(REPLICA) as replica, replica.as_client(bench.client_id) as tx:
        return tx.connection.execute(query, values).fetchall()


def left_of(installed: Installation, client_id: int) -> tuple[int, int]:
    """How many models, and snapshots of its relations, are there of a client."""
    asked = {"project": f"%\\_client\\_{client_id}\\_v%", "relation": f"{names.client_schema(client_id)}.%"}
    [found] = installed.rows(
        installed.replica,
        "select (select count(*) from pgml.models as m join pgml.projects as p on p.id = m.project_id"
        " where p.name like %(project)s),"
        " (select count(*) from pgml.snapshots where relation_name like %(relation)s)",
        asked,
    )
    return found


def test_a_model_is_trained_and_asked(built: Bench):
    made = fit(built)
    x = np.array([[1, 1 + n % 8, n * 7919 % 101] for n in range(1, LEARNED + 1)], dtype=float)
    weights = np.linalg.lstsq(x, LABELS[:LEARNED], rcond=None)[0]
    with built.databases.session(REPLICA) as replica, replica.as_client(built.client_id) as tx:
        for signal in (1, 5, 8):
            wanted = np.expm1(weights @ [1, signal, 7])
            assert pgml.answer(tx, SCALE, made.model_id, [signal, 7]) == pytest.approx(wanted, rel=1e-3)
        assert pgml.exists(tx, made.model_id, built.project)
        assert not pgml.exists(tx, made.model_id, f"{built.project}1")
        found = pgml.lineage(tx, made.model_id)
        assert not pgml.is_ours(pgml.version(tx))
        assert pgml.explain(tx, made.model_id, [[1, 7]]) == []
    # The last rows were tested on.
    tested = np.array([[1, 1 + n % 8, n * 7919 % 101] for n in range(LEARNED + 1, ROWS + 1)], dtype=float)
    off = np.abs(tested @ weights - LABELS[LEARNED:]).mean()
    assert made.metrics["mean_absolute_error"] == pytest.approx(off, rel=1e-3)
    assert found["relation_name"] == f"{built.schema}.{nights.TABLE}_good", "the view that the rows are from"
    assert built.deployed() is None
    with built.databases.session(REPLICA) as replica:
        pgml.deploy(replica, built.client_id, made.model_id)
    assert built.deployed() == made.model_id


def test_probabilities_are_of_the_second_class(built: Bench):
    with built.databases.session(REPLICA) as replica, replica.as_client(built.client_id) as tx:
        tx.connection.execute(
            f"create view {built.schema}.classes as select (signal > 4)::integer as label, signal, noise"
            f" from {built.schema}.{nights.TABLE} order by moment"
        )
    for algorithm in ("linear", "xgboost", "lightgbm"):
        made = fit(
            built,
            project=f"p_{algorithm}_client_{built.client_id}_v1",
            task="classification",
            relation=f"{built.schema}.classes",
            algorithm=algorithm,
        )
        with built.databases.session(REPLICA) as replica, replica.as_client(built.client_id) as tx:
            scale = pgml.Scale("classification", "identity")
            low, high = (pgml.answer(tx, scale, made.model_id, [signal, 7]) for signal in (1, 8))
        assert low < 0.3 < 0.7 < high, algorithm


def test_clients_have_no_right_on_pgml(built: Bench):
    """Each of PostgresML's objects is everybody's who has any right on it."""
    held = built.installed.rows(
        built.installed.replica,
        """
        select r.rolname, c.oid::regclass::text
        from pg_roles as r
        cross join pg_class as c
        where
            c.relnamespace = 'pgml'::regnamespace
            and c.relkind in ('r', 'v', 'S')
            and r.rolname ~ '^(foresight_(client|app|fleet)|pgml_)'
            and (
                has_schema_privilege(r.oid, c.relnamespace, 'usage, create')
                or case c.relkind
                    when 'S' then has_sequence_privilege(r.oid, c.oid, 'usage, select, update')
                    else has_any_column_privilege(r.oid, c.oid, 'select, insert, update, references')
                end
            )
        """,
    )
    assert held == []
    for query in ("select pgml.version()", "select data from pgml.files", "insert into pgml.files (data) values ('x')"):
        with pytest.raises(errors.InsufficientPrivilege):
            call(built, query)


def test_a_model_of_another_client_is_none(built: Bench, other: Bench):
    theirs = fit(other)
    with pytest.raises(errors.UndefinedObject) as told:
        call(built, "select ml_pgml.answers(%s, '{1, 7}', false)", theirs.model_id)
    with pytest.raises(errors.UndefinedObject) as unknown:
        call(built, "select ml_pgml.answers(%s, '{1, 7}', false)", 987654321)
    said = (told.value.diag.message_primary, unknown.value.diag.message_primary)
    assert said == (f"model {theirs.model_id} does not exist", "model 987654321 does not exist")
    with pytest.raises(errors.UndefinedObject):
        call(built, "select ml_pgml.deploy(%s)", theirs.model_id)
    assert call(built, "select * from ml_pgml.model(%s)", theirs.model_id) == []
    assert call(built, "select ml_pgml.drop_models(array[%s])", theirs.model_id) == [(0,)]
    assert call(built, "select ml_pgml.forget(array[%s], '{}', 0)", other.project) == [(0,)]
    with pytest.raises(errors.InsufficientPrivilege):
        fit(built, project=other.project)
    with pytest.raises(errors.InsufficientPrivilege):
        call(built, "select ml_pgml.erase(%s)", other.client_id)
    assert call(other, "select project from ml_pgml.model(%s)", theirs.model_id) == [(other.project,)]


def test_nothing_of_a_clients_runs_with_the_gateways_rights(built: Bench):
    """A view is read with its reader's rights wherever it calls a function: here one of the client's own."""
    schema = sql.Identifier(built.schema)
    with built.databases.session(REPLICA) as replica, replica.as_client(built.client_id) as tx:
        tx.connection.execute(
            sql.SQL(
                "create function {0}.who() returns float8 language plpgsql as $$ begin"
                " raise exception 'it is %', current_user; end $$"
            ).format(schema)
        )
        tx.connection.execute(sql.SQL("create view {0}.trojan as select {0}.who() as label, 1 as a").format(schema))
    with pytest.raises(errors.RaiseException, match=f"it is {names.client_role(built.client_id)}"):
        fit(built, relation=f"{built.schema}.trojan")


@pytest.mark.parametrize(
    ("wrong", "refused"),
    [
        ({"algorithm": "lightgbm", "hyperparams": {"output_model": "/tmp/taken"}}, errors.InvalidParameterValue),
        ({"algorithm": "lightgbm", "hyperparams": {"max_bin=9 output_model": 1}}, errors.InvalidParameterValue),
        ({"algorithm": "xgboost", "hyperparams": {"objective": "/etc/passwd"}}, errors.InvalidParameterValue),
        ({"algorithm": "linear", "hyperparams": {"n_jobs": 64}}, errors.FeatureNotSupported),
        ({"algorithm": "catboost"}, errors.FeatureNotSupported),
        ({"task": "clustering"}, errors.FeatureNotSupported),
        ({"test_rows": ROWS}, errors.InvalidParameterValue),
        ({"relation": "public.issues"}, errors.UndefinedColumn),
    ],
)
def test_what_is_not_a_training_of_ours_is_refused(built: Bench, wrong: dict, refused: type[Exception]):
    with pytest.raises(refused):
        fit(built, **wrong)


def test_a_column_that_is_no_plain_name_is_refused(built: Bench):
    with built.databases.session(REPLICA) as replica, replica.as_client(built.client_id) as tx:
        tx.connection.execute(
            f'create view {built.schema}.odd as select label, signal as "s""; drop table x; --" from'
            f" {built.schema}.{nights.TABLE}"
        )
    with pytest.raises(errors.InvalidName):
        fit(built, relation=f"{built.schema}.odd")


def test_a_row_too_short_is_refused(built: Bench):
    """PostgresML answers two and a half rows with two, or with another row's value."""
    made = fit(built)
    with pytest.raises(psycopg.errors.ArraySubscriptError, match="takes 2 features a row, not 3 values"):
        call(built, "select ml_pgml.answers(%s, '{1, 7, 2}', false)", made.model_id)


def test_models_go_with_their_snapshots(installed: Installation, databases: Databases, client_ids: Iterator[int]):
    """A snapshot says of each column what was the least and the most in it."""
    bench = nights.bench(installed, databases, next(client_ids))
    bench.build()
    made = [fit(bench).model_id for _ in range(5)]
    assert left_of(installed, bench.client_id) == (5, 5)
    with databases.session(REPLICA) as replica, replica.as_client(bench.client_id) as tx:
        pgml.drop(tx, made[:1])
        assert pgml.forget(tx, [bench.project], keep=[made[1]], newest=2) == 1
    assert left_of(installed, bench.client_id) == (3, 3)
    with databases.session(REPLICA) as replica, replica.as_client(bench.client_id) as tx:
        assert [pgml.exists(tx, one, bench.project) for one in made] == [False, True, False, True, True]


def test_a_night_forgets_old_models(installed: Installation, databases: Databases, client_ids: Iterator[int]):
    bench = nights.bench(installed, databases, next(client_ids))
    bench.build()
    made = [fit(bench).model_id for _ in range(preparation.KEPT_MODELS + 2)]
    with databases.primary() as primary, databases.session(REPLICA) as replica:
        with primary.as_fleet() as fleet:
            client = clients.read(fleet, bench.slug)
        preparation.tidy(primary, replica, client, "night 1")
    assert left_of(installed, bench.client_id) == (preparation.KEPT_MODELS, preparation.KEPT_MODELS)
    assert made


def test_a_client_is_erased_whole(installed: Installation, databases: Databases, client_ids: Iterator[int]):
    """Also what earlier versions have left: a snapshot whose model went without it."""
    bench, stays = (nights.bench(installed, databases, next(client_ids)) for _ in range(2))
    for one in (bench, stays):
        one.build()
        fit(one)
    with psycopg.connect(installed.replica) as connection:
        connection.execute(
            "insert into pgml.snapshots (relation_name, y_column_name, test_size, test_sampling, status)"
            " values (%s, '{label}', 2, 'last', 'in_progress')",
            [f"{bench.schema}.old_ordered"],
        )
        assert connection.execute("select ml_pgml.erase(%s)", [bench.client_id]).fetchone() == (1,)
    assert (left_of(installed, bench.client_id), left_of(installed, stays.client_id)) == ((0, 0), (1, 1))


def test_no_meter_is_no_error(built: Bench):
    with built.databases.session(REPLICA) as replica:
        load = Meter(replica, built.client_id).load(replica, 1.0)
    assert load.cpu_seconds is None


def test_a_missing_package_is_told(installed: Installation):
    with psycopg.connect(installed.replica) as connection:
        tx = Transaction(connection)
        assert pgml.missing_packages(tx) == {}
        connection.execute("set standin.without to 'catboost'")
        assert pgml.missing_packages(tx) == {"catboost": "ModuleNotFoundError: No module named 'catboost'"}


def test_nights_keep_what_they_need_and_no_more(new_postgresml):
    """Of a night's fifteen models or more, most were there to be compared."""
    asked = {"models": ["rework", "trajectory"], "force_retrain": True}
    with new_postgresml() as installed:
        demo_night.load(installed)
        with nights.warm(installed) as databases:
            lived = [demo_night.live(databases, demo_night.SLUGS[1], name, **asked) for name in ("1", "2")]
        assert [night.errors for night in lived] == [{}, {}]
        found = demo_night.trainings(installed, lived[-1])
        assert {model: row["status"] for model, row in found.items()} == dict.fromkeys(asked["models"], "trained")
        versions = installed.rows(installed.replica, "select pgml.version()")
        assert {(row["pgml_version"],) for row in found.values()} == set(versions)
        assert left_of(installed, 1) == (4, 4), "one of each model and night"
        unhealthy = "select model, reason from ml.model_health where client_id = 1 and status = 'unhealthy'"
        assert installed.rows(installed.primary, unhealthy) == []
