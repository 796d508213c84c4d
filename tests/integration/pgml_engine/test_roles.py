"""pgml_predictor asks, pgml_trainer learns too, pgml_user means both, and none of them is a superuser's errand."""

from __future__ import annotations

import math

import psycopg
import pytest

ROW = "array[0.5, 0.5]::real[]"
CHANGES = [
    "pgml.train('stolen', 'regression', 'shared', 'y', 'linear')",
    "pgml.train_joint('stolen', 'regression', 'shared', array['y'], 'linear')",
    "pgml.deploy({id})",
    "pgml.deploy('of a trainer', 'most_recent')",
    "pgml.snapshot('shared', 'y')",
    "pgml.load_dataset('iris')",
    "pgml.drop_model({id}, true)",
    "pgml.drop_project('of a trainer', true)",
    "pgml.share_project('of a trainer', 'a_stranger')",
]
ASKS = [
    f"pgml.predict('of a trainer', {ROW})",
    f"pgml.predict({{id}}::bigint, {ROW})",
    f"pgml.predict_batch('of a trainer', {ROW})",
    f"pgml.explain('of a trainer', {ROW})",
    "pgml.metrics('of a trainer')",
    "pgml.version()",
    "count(*) from pgml.deployed_models where name = 'of a trainer'",
]
WRITES = [
    "insert into pgml.files (model_id, path, part, data) values ({id}, 'preprocess.json', 0, '')",
    "insert into pgml.deployments (project_id, model_id, strategy) select project_id, id, 'specific' from pgml.models",
    "insert into pgml.model_reports (model_id, report) values ({id}, '{{}}')",
    "insert into pgml.project_readers (project_id, reader) select id, 'a_stranger' from pgml.projects",
]


@pytest.fixture(scope="module")
def model(warm) -> int:
    """A model of a_trainer, whose rows nobody else may read, shared with a_predictor and another_trainer."""
    warm.execute(
        "create role a_trainer in role pgml_trainer; create role a_predictor in role pgml_predictor; "
        "create role another_trainer in role pgml_trainer; create role a_stranger in role pgml_predictor; "
        "create role a_user in role pgml_user"
    )
    warm.execute(
        "create table public.shared as select random() as x1, random() as x2, random() as y from generate_series(1, 99)"
    )
    warm.execute("grant select on public.shared to a_trainer, another_trainer, a_user")
    warm.execute("set role a_trainer")
    warm.execute("select pgml.train('of a trainer', 'regression', 'shared', 'y', 'linear')")
    number = warm.execute("select currval('pgml.models_id_seq')").fetchone()[0]
    for reader in ("a_predictor", "another_trainer"):
        warm.execute("select pgml.share_project('of a trainer', %s)", [reader])
    warm.execute("reset role")
    return number


@pytest.fixture
def become(warm, model):
    yield lambda role: warm.execute(f"set role {role}")
    warm.execute("reset role")


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("role", ["a_trainer", "a_predictor", "another_trainer"])
def test_who_may_ask_asks(warm, model, become, role, ask):
    become(role)
    assert warm.execute("select " + ask.format(id=model)).fetchone()[0] not in (None, 0)


@pytest.mark.parametrize("change", CHANGES)
def test_a_predictor_changes_nothing(warm, model, become, change):
    become("a_predictor")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        warm.execute("select " + change.format(id=model))


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("role", ["a_predictor", "another_trainer"])
def test_to_see_a_model_is_not_to_write_to_it(warm, model, become, role, write):
    become(role)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        warm.execute(write.format(id=model))


@pytest.mark.parametrize("ask", [one for one in ASKS if "trainer" in one or "{id}" in one])
def test_a_stranger_sees_nothing(warm, model, become, ask):
    become("a_stranger")
    if ask.startswith("count"):
        assert warm.execute("select " + ask).fetchone() == (0,)
        return
    with pytest.raises(psycopg.errors.UndefinedObject):
        warm.execute("select " + ask.format(id=model))


def test_sharing_ends(warm, model, become):
    become("a_trainer")
    warm.execute("select pgml.share_project('of a trainer', 'a_stranger')")
    become("a_stranger")
    warm.execute(f"select pgml.predict('of a trainer', {ROW})")
    become("a_trainer")
    warm.execute("select pgml.unshare_project('of a trainer', 'a_stranger')")
    become("a_stranger")
    with pytest.raises(psycopg.errors.UndefinedObject):
        warm.execute(f"select pgml.predict('of a trainer', {ROW})")


@pytest.mark.parametrize(
    ("project", "reader", "named"),
    [("of a trainer", "nobody_at_all", 'role "nobody_at_all"'), ("nothing", "a_stranger", 'project "nothing"')],
)
def test_sharing_names_what_is_not_there(warm, become, project, reader, named):
    become("a_trainer")
    with pytest.raises(psycopg.errors.UndefinedObject, match=named):
        warm.execute("select pgml.share_project(%s, %s)", [project, reader])


def test_pgml_user_trains_and_asks(warm, become):
    become("a_user")
    for _ in range(2):
        warm.execute(
            "select pgml.train('of a user', 'regression', 'shared', 'y', 'xgboost', materialize_snapshot => true)"
        )
    value, metrics = warm.execute(f"select pgml.predict('of a user', {ROW}), pgml.metrics('of a user')").fetchone()
    assert math.isfinite(value) and math.isfinite(metrics["r2"])
    warm.execute("select pgml.deploy('of a user', 'most_recent')")
    models = "select array_agg(m.id order by m.id) from pgml.models as m join pgml.projects as p on p.id = m.project_id"
    [(_, last)] = warm.execute(f"{models} where p.name = 'of a user'").fetchone()
    deployed = "select id from pgml.deployed_models where name = 'of a user'"
    assert warm.execute(deployed).fetchall() == [(last,)]
    warm.execute("select pgml.drop_project('of a user', true)")
    assert warm.execute("select count(*) from pgml.projects where name = 'of a user'").fetchone() == (0,)


def test_everybody_else_calls_nothing(warm, engine_db):
    warm.execute("create role an_outsider")
    functions = warm.execute(
        "select p.oid::regprocedure::text from pg_proc p where pronamespace = 'pgml'::regnamespace "
        "and has_function_privilege('an_outsider', p.oid, 'execute')"
    ).fetchall()
    tables = warm.execute(
        "select c.relname from pg_class c where relnamespace = 'pgml'::regnamespace and relkind in ('r', 'v') "
        "and has_any_column_privilege('an_outsider', c.oid, 'select') "
        # Public data sets.
        "and relname not in ('breast_cancer', 'diabetes', 'digits', 'iris', 'linnerud', 'wine')"
    ).fetchall()
    assert (functions, tables) == ([], [])


def test_an_installation_that_is_run_again_keeps_all_that(engine_db, install_pgml, warm, model, become):
    with psycopg.connect(engine_db) as connection:
        before = privileges(connection)
        install_pgml(connection)
        assert privileges(connection) == before
        assert len(before) > 100
    become("a_predictor")
    warm.execute(f"select pgml.predict('of a trainer', {ROW})")


def privileges(connection):
    return connection.execute(
        "select o.name, a.grantee::regrole::text, a.privilege_type from ("
        "select oid::regprocedure::text as name, proacl as acl from pg_proc where pronamespace = 'pgml'::regnamespace "
        "union all select oid::regclass::text, relacl from pg_class where relnamespace = 'pgml'::regnamespace "
        "union all select attrelid::regclass::text || '.' || attname, attacl from pg_attribute "
        "where attacl is not null and attrelid::regclass::text like 'pgml.%'"
        ") as o, aclexplode(o.acl) as a order by 1, 2, 3"
    ).fetchall()


@pytest.mark.parametrize("role", ["public", "pgml_user", "pgml_trainer", "pgml_predictor"])
def test_nobody_turns_bytes_into_an_array_unchecked(warm, role):
    asked = "select has_function_privilege(%s, 'pgml._unchecked_reals(bytea)', 'execute')"
    assert warm.execute(asked, [role]).fetchone() == (False,)


@pytest.mark.parametrize(
    "sent",
    [
        "'\\x00'",
        "decode(repeat('ff', 24), 'hex')",
        # A head that promises more numbers than there are, another type, a NULL, two dimensions.
        "substring(pgml._bytes(array[1, 2, 3]::real[]) for 24)",
        "pgml._bytes(array[1, 2]::float8[])",
        "pgml._bytes(array[1, null]::real[])",
        "pgml._bytes(array[[1, 2], [3, 4]]::real[])",
        "pgml._bytes(array[1, 2]::real[]) || '\\x00'",
    ],
)
def test_bytes_that_are_no_array_are_refused(warm, become, sent):
    become("a_predictor")
    with pytest.raises(psycopg.errors.InvalidBinaryRepresentation, match="not the bytes of an array"):
        warm.execute(f"select pgml._reals({sent})")
    same = (
        "select pgml._reals(pgml._bytes(array[1.5, -2, 'NaN', 'inf']::real[])) = array[1.5, -2, 'NaN', 'inf']::real[]"
    )
    assert warm.execute(same).fetchone() == (True,)
    assert warm.execute("select pgml._reals('')").fetchone() == ([],)
