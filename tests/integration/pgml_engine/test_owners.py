"""A client's projects are its own: each way to another's is tried, also within one session that both have used."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

TABLES = (
    *("projects", "snapshots", "models", "files", "deployments", "project_owners", "snapshot_owners"),
    *("snapshot_options", "model_reports"),
)
PREDICTIONS = (
    "pgml.predict('{name}', array[0.5, 0.5]::real[])",
    "pgml.predict({id}::bigint, array[0.5, 0.5]::real[])",
    "pgml.predict_batch('{name}', array[0.5, 0.5]::real[])",
    "pgml.predict_batch({id}::bigint, array[0.5, 0.5]::real[])",
    "pgml.predict_proba('{name}', array[0.5, 0.5]::real[])",
    "pgml.predict_proba({id}::bigint, array[0.5, 0.5]::real[])",
)


def become(connection, role):
    connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)) if role else "reset role")


def train(connection, name, number, algorithm="xgboost"):
    connection.execute(
        "select pgml.train(%s, 'regression', %s, 'y', %s::pgml.algorithm, seed => 0)",
        [name, f"ml_client_{number}.rows", algorithm],
    )
    return connection.execute("select currval('pgml.models_id_seq')").fetchone()[0]


@pytest.fixture(scope="module")
def owned(warm, client):
    """Clients 1 and 2 have each trained and asked a model, in this one session. Ids of their models."""
    ids = {}
    for number in (1, 2):
        become(warm, client(number))
        ids[number] = train(warm, f"project of {number}", number)
        warm.execute("select pgml.predict(%s::bigint, array[0.5, 0.5]::real[])", [ids[number]])
    become(warm, None)
    return ids


@pytest.fixture
def as_client(warm, owned, client):
    """Take a client's role in the session that all have used."""
    yield lambda number: become(warm, client(number))
    become(warm, None)


def test_a_client_trains_on_its_own_rows(warm, owned, as_client):
    """All clients' rows lie in one table. y is client * x1 + x2, so a line that saw other rows has another slope."""
    for number in (1, 2):
        as_client(number)
        model = train(warm, f"line of {number}", number, "linear")
        slope = warm.execute(
            "select pgml.predict(%(id)s::bigint, array[1, 0]::real[]) "
            "- pgml.predict(%(id)s::bigint, array[0, 0]::real[])",
            {"id": model},
        ).fetchone()[0]
        assert slope == pytest.approx(number, abs=1e-4)
        samples = warm.execute("select analysis from pgml.snapshots order by id desc limit 1").fetchone()[0]
        assert samples == {"samples": 200}


@pytest.mark.parametrize("call", PREDICTIONS)
@pytest.mark.parametrize(("caller", "other"), [(1, 2), (2, 1)])
def test_no_client_predicts_with_anothers_model(warm, owned, as_client, call, caller, other):
    """Both models are in the session's cache: only the database's answer stands between them."""
    as_client(caller)
    with pytest.raises(psycopg.errors.UndefinedObject, match="does not exist|No deployed model exists"):
        warm.execute("select " + call.format(id=owned[other], name=f"project of {other}"))
    if "proba" not in call:
        warm.execute("select " + call.format(id=owned[caller], name=f"project of {caller}"))


@pytest.mark.parametrize("table", TABLES)
def test_no_client_sees_anothers_rows(warm, owned, as_client, table):
    key = {"projects": "id", "snapshots": "id", "models": "id", "files": "model_id", "deployments": "project_id"}
    key |= {"snapshot_options": "snapshot_id", "model_reports": "model_id"}
    column = key.get(table, table.replace("_owners", "_id"))
    seen = {}
    for number in (1, 2):
        as_client(number)
        seen[number] = {row[0] for row in warm.execute(f"select {column} from pgml.{table}")}
        assert seen[number]
    assert not seen[1] & seen[2]


@pytest.mark.parametrize("view", ["overview", "trained_models", "deployed_models"])
def test_no_view_shows_anothers_projects(warm, owned, as_client, view):
    names = {}
    for number in (1, 2):
        as_client(number)
        names[number] = {row[0] for row in warm.execute(f"select name from pgml.{view}")}
        assert f"project of {number}" in names[number]
    assert not names[1] & names[2]


def test_training_under_anothers_name_is_refused_and_changes_nothing(warm, owned, as_client):
    as_client(1)
    before = warm.execute("select count(*) from pgml.models").fetchone()
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match='project "project of 2" belongs to another role'):
        train(warm, "project of 2", 1)
    assert warm.execute("select count(*) from pgml.models").fetchone() == before
    as_client(2)
    assert warm.execute("select pgml.predict('project of 2', array[1, 0]::real[])").fetchone()[0] > 0.5


def test_no_client_deploys_anothers_model(warm, owned, as_client):
    as_client(1)
    with pytest.raises(psycopg.errors.UndefinedObject, match=f"model {owned[2]} does not exist"):
        warm.execute("select pgml.deploy(%s::bigint)", [owned[2]])
    for strategy in ("best_score", "most_recent", "rollback"):
        with pytest.raises(psycopg.errors.UndefinedObject, match='project "project of 2" does not exist'):
            warm.execute("select pgml.deploy('project of 2', %s)", [strategy])


FORGERIES = {
    "a model in another's project": (
        "insert into pgml.models (project_id, snapshot_id, num_features, algorithm, hyperparams, status, "
        "search_params, search_args) select {project}, max(id), 2, 'xgboost', '{{}}', 'successful', '{{}}', '{{}}' "
        "from pgml.snapshots"
    ),
    "a deployment in another's project": (
        "insert into pgml.deployments (project_id, model_id, strategy) values ({project}, {mine}, 'specific')"
    ),
    "another's model in a project of one's own": (
        "insert into pgml.deployments (project_id, model_id, strategy) "
        "select id, {theirs}, 'specific' from pgml.projects limit 1"
    ),
    "a file of another's model": (
        "insert into pgml.files (model_id, path, part, data) values ({theirs}, 'estimator.ubj', 1, 'x')"
    ),
    "another's project": "insert into pgml.project_owners (project_id) values ({project})",
    "another owner for a project of one's own": (
        "insert into pgml.project_owners (project_id, owner) select id, 'foresight_client_2' from pgml.projects limit 1"
    ),
    "an owner changed": "update pgml.project_owners set owner = 'foresight_client_2'",
    "a project's id": "insert into pgml.projects (id, name, task) values (999999, 'x', 'regression')",
    "a deployment in the future": (
        "insert into pgml.deployments (project_id, model_id, strategy, created_at) "
        "select project_id, id, 'specific', 'infinity' from pgml.models limit 1"
    ),
    "a model changed": "update pgml.models set metrics = '{{}}'",
    "a report of another's model": "insert into pgml.model_reports (model_id, report) values ({theirs}, '{{}}')",
    "a snapshot's label changed": "update pgml.snapshots set y_column_name = array['x1']",
    "a table for another's snapshot": (
        "select pgml._materialize((select snapshot_id from pgml.models limit 1), array['x'], array['text'])"
    ),
    "a file changed": "update pgml.files set data = 'x'",
    "a sequence moved": "select setval('pgml.projects_id_seq', 1)",
    "policies off": "alter table pgml.projects disable row level security",
    "the owner's role": "set role foresight_client_2",
}


@pytest.mark.parametrize("statement", FORGERIES.values(), ids=FORGERIES)
def test_no_statement_forges_a_right(engine_db, warm, owned, client, statement):
    """As a login that is a member of one client's role only."""
    project = warm.execute("select project_id from pgml.models where id = %s", [owned[2]]).fetchone()[0]
    with psycopg.connect(engine_db, user=client(1), autocommit=True) as connection:
        with pytest.raises(psycopg.Error) as refused:
            connection.execute(statement.format(project=project, mine=owned[1], theirs=owned[2]))
    assert refused.value.sqlstate in ("42501", "23505"), refused.value


LAYERS = {
    "policy": "grant insert on pgml.project_owners to pgml_user",
    "grant": "drop policy own on pgml.project_owners; create policy own on pgml.project_owners using (true)",
}


@pytest.mark.parametrize("layer", LAYERS)
def test_an_owner_is_not_forged_though_one_layer_only_is_left(engine_db, warm, owned, client, layer):
    project = warm.execute("select project_id from pgml.models where id = %s", [owned[2]]).fetchone()[0]
    forge = "insert into pgml.project_owners (project_id, owner) values (%s, 'foresight_client_3')"
    with psycopg.connect(engine_db) as connection:
        connection.execute(LAYERS[layer])
        connection.execute("delete from pgml.project_owners where project_id = %s", [project])
        become(connection, client(1))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(forge, [project])
        connection.rollback()
        for opened in LAYERS.values():
            connection.execute(opened)
        connection.execute("delete from pgml.project_owners where project_id = %s", [project])
        become(connection, client(1))
        connection.execute(forge, [project])
        connection.rollback()


def test_what_lost_its_owner_goes_to_who_installs_and_is_nobody_elses(engine_db, install_pgml, owned, client):
    with psycopg.connect(engine_db) as connection:
        connection.execute("delete from pgml.project_owners; delete from pgml.snapshot_owners")
        install_pgml(connection)
        owners = connection.execute("select distinct owner from pgml.project_owners").fetchall()
        assert owners == [("postgres",)]
        become(connection, client(1))
        assert connection.execute("select count(*) from pgml.projects").fetchone() == (0,)
        connection.rollback()


def test_row_security_cannot_be_switched_off(engine_db, owned, client):
    with psycopg.connect(engine_db, user=client(1), autocommit=True) as connection:
        connection.execute("set row_security = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            connection.execute(f"select pgml.predict({owned[2]}::bigint, array[1, 1]::real[])")


def test_no_client_deletes_anothers_project_and_deletes_its_own_whole(warm, owned, as_client):
    as_client(1)
    train(warm, "short of 1", 1)
    mine = warm.execute("select id from pgml.projects where name = 'short of 1'").fetchone()[0]
    as_client(2)
    warm.execute("delete from pgml.projects where id = %s", [mine])
    warm.execute("delete from pgml.models where project_id = %s", [mine])
    as_client(1)
    assert warm.execute("select pgml.predict('short of 1', array[1, 0]::real[])").fetchone()[0] > 0.5
    model = warm.execute("select id from pgml.models where project_id = %s", [mine]).fetchone()[0]
    warm.execute("delete from pgml.projects where id = %s", [mine])
    become(warm, None)
    for table, column in (("models", "id"), ("files", "model_id"), ("deployments", "model_id")):
        assert warm.execute(f"select count(*) from pgml.{table} where {column} = %s", [model]).fetchone() == (0,)
    as_client(1)
    with pytest.raises(psycopg.errors.UndefinedObject):
        warm.execute("select pgml.predict(%s::bigint, array[1, 0]::real[])", [model])


def test_a_name_that_is_free_again_is_anybodys(warm, owned, as_client):
    as_client(1)
    train(warm, "handed over", 1)
    warm.execute("delete from pgml.projects where name = 'handed over'")
    as_client(2)
    train(warm, "handed over", 2)
    assert warm.execute("select count(*) from pgml.projects where name = 'handed over'").fetchone() == (1,)


def test_an_administrator_sees_and_asks_all(warm, owned, client):
    warm.execute("create role overseer bypassrls in role pgml_user")
    become(warm, "overseer")
    try:
        names = {row[0] for row in warm.execute("select name from pgml.deployed_models")}
        assert {"project of 1", "project of 2"} <= names
        for number in (1, 2):
            assert (
                warm.execute("select pgml.predict(%s::bigint, array[1, 0]::real[])", [owned[number]]).fetchone()[0]
                > 0.5
            )
    finally:
        become(warm, None)


def test_without_the_group_nothing_can_be_called(engine_db, warm):
    warm.execute("create role stranger login")
    with psycopg.connect(engine_db, user="stranger", autocommit=True) as connection:
        for statement in ("select pgml.version()", "select pgml.predict('x', array[1]::real[])", "table pgml.projects"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_the_right_to_the_relation_is_the_callers(warm, owned, as_client):
    as_client(1)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="^pgml: permission denied for schema ml_client_2"):
        train(warm, "theft", 2)
    become(warm, None)
    warm.execute("create table public.secret as select 1::float8 as x, 2::float8 as y")
    as_client(1)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="^pgml: permission denied for table secret"):
        warm.execute("select pgml.train('theft', 'regression', 'secret', 'y')")


@pytest.mark.parametrize("table", TABLES)
def test_a_table_without_its_policies_is_found_out(engine_db, owned, client, table):
    """The test of the rows that a client sees is not blind."""
    with psycopg.connect(engine_db) as connection:
        seen = []
        for switch in ("enable", "disable"):
            connection.execute(f"alter table pgml.{table} {switch} row level security")
            become(connection, client(1))
            seen.append(connection.execute(f"select count(*) from pgml.{table}").fetchone()[0])
            become(connection, None)
        connection.rollback()
    assert 0 < seen[0] < seen[1]


def test_without_the_policies_a_prediction_leaks(engine_db, owned, client):
    with psycopg.connect(engine_db) as connection:
        connection.execute("alter table pgml.models disable row level security")
        connection.execute("alter table pgml.files disable row level security")
        connection.execute("alter table pgml.projects disable row level security")
        become(connection, client(1))
        assert (
            connection.execute("select pgml.predict(%s::bigint, array[1, 0]::real[])", [owned[2]]).fetchone()[0] > 0.5
        )
        connection.rollback()


def test_installing_again_keeps_models_owners_and_policies(engine_db, install_pgml, warm, owned, client):
    before = warm.execute("select count(*), max(id) from pgml.models").fetchone()
    with psycopg.connect(engine_db) as connection:
        install_pgml(connection)
    assert warm.execute("select count(*), max(id) from pgml.models").fetchone() == before
    with psycopg.connect(engine_db, user=client(1), autocommit=True) as connection:
        assert connection.execute("select pgml.predict('project of 1', array[1, 0]::real[])").fetchone()[0] > 0.5
        with pytest.raises(psycopg.errors.UndefinedObject):
            connection.execute("select pgml.predict('project of 2', array[1, 0]::real[])")
