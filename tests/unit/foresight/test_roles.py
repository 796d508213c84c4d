"""Which steps set-up takes, by release and by what the login may: rules for more releases than are at hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from include.foresight import deployment, inspection, names, replication, roles
from include.foresight.inspection import Look
from include.foresight.replication import PUBLISHED

NOBODY = {
    "version": 150000,
    "version_text": "15",
    "wal_level": "logical",
    "identity": "a",
    "login": "admin",
    "is_superuser": False,
    "may_create_roles": True,
    "bypasses_policies": False,
    "may_replicate": False,
    "database": "shop",
    "owns_database": True,
    "may_create": True,
    "owns_public": True,
    "owner_of_ml": None,
}
TABLE = {
    "owner": "platform",
    "is_ours": False,
    "has_policies": False,
    "identity": "default",
    "has_key": True,
    "readers": [],
}
ENGINE = {
    "language": None,
    "extension": None,
    "available": None,
    "available_is_ours": False,
    "available_is_trusted": False,
    "has_plpython": True,
    "is_preloaded": False,
    "is_ours": False,
    "is_granted": False,
}

EXTENSION, GRANTS = "install pgml", "let the gateway, and nobody else, use PostgresML"
# What the control file of PostgresML says, and that of ours.
POSTGRESML = {"available": "2.10.0", "available_is_trusted": True}
OURS = {"available": "0.1.0-4acc3a97", "available_is_ours": True}


def look(side: str = "primary", **server: Any) -> Look:
    tables = {name: TABLE for name in PUBLISHED} if side == "primary" else {}
    columns = {name: {"id": "integer", "client_id": "integer"} for name in tables}
    return Look(side, NOBODY | server, {}, {}, frozenset(), tables, columns, {}, {}, {}, ENGINE)


def texts(one: Look) -> dict[str, tuple[str, bool]]:
    return {
        step.what: (" ".join(step.query.as_string(None).splitlines()[1:]), step.allowed) for step in roles.steps(one)
    }


def test_a_superuser_gives_every_attribute():
    found = texts(look(is_superuser=True))
    assert found["make role foresight_owner"] == ('create role "foresight_owner" nologin createrole bypassrls', True)
    assert found["make role foresight_replication"][0].endswith("login replication bypassrls")
    assert all(allowed for _, allowed in found.values())


def test_createrole_of_15_gives_neither_replication_nor_bypassrls():
    found = texts(look())
    assert found["make role foresight_owner"] == ('create role "foresight_owner" nologin createrole', True)
    assert found["make role foresight_replication"] == ('create role "foresight_replication" login', True)
    assert found["give role foresight_replication replication"][1] is False
    assert found["let foresight_replication read the platform's tables"][1] is True
    assert not any("bypassrls" in what for what in found)


@pytest.mark.parametrize(("own", "given"), [({}, False), ({"may_replicate": True, "bypasses_policies": True}, True)])
def test_createrole_of_16_gives_what_it_has(own: dict[str, bool], given: bool):
    found = texts(look(version=160000, **own))
    assert ("replication" in found["make role foresight_replication"][0].split()) is given
    assert ("bypassrls" in found["make role foresight_owner"][0]) is given
    assert ("give role foresight_replication replication" in found) is not given


def test_16_asks_for_the_admin_option():
    group = {"is_ours": True, "is_administered": False}
    for administered in (True, False):
        one = replace(look(version=160000), roles={roles.READ_ALL: group | {"is_administered": administered}})
        assert texts(one)["let foresight_reader read the platform's tables"][1] is administered


def test_without_createrole_everything_is_asked_for_at_once():
    found = texts(look(may_create_roles=False))
    assert found["make role foresight_replication"] == (
        'create role "foresight_replication" login replication bypassrls',
        False,
    )
    assert "give role foresight_replication replication" not in found


def test_replication_through_amazons_role_is_seen():
    made = {"login": True, "replication": False, "bypassrls": False, "is_ours": False, "row_security_off": False}
    plain = replace(look(), roles={roles.REPLICATION: made})
    assert "give role foresight_replication replication" in texts(plain)
    managed = replace(plain, memberships={(roles.REPLICATION, "rds_replication"): False})
    assert "give role foresight_replication replication" not in texts(managed)


def test_policies_of_the_platform_demand_bypassrls_of_the_reader():
    """It would be copied nothing, and nobody would be told."""
    one = look()
    hidden = replace(one, tables=one.tables | {"issues": TABLE | {"has_policies": True}})
    query, allowed = texts(hidden)["let foresight_replication read issues past the platform's own policies"]
    assert (query, allowed) == ('alter role "foresight_replication" bypassrls', False)
    assert not any("past the platform" in what for what in texts(one))


def test_grants_on_the_tables_do_for_the_readers():
    one = look()
    made = {"login": True, "replication": True, "bypassrls": False, "is_ours": False, "row_security_off": False}
    both = {roles.REPLICATION: made, names.READER: made}
    granted = {name: TABLE | {"readers": [roles.REPLICATION, names.READER]} for name in PUBLISHED}
    assert "let foresight_reader read the platform's tables" in texts(replace(one, roles=both))
    found = texts(replace(one, roles=both, tables=granted))
    assert not any("read the platform's tables" in what for what in found)


def test_a_publication_needs_the_tables_owner():
    (step,) = replication.publication_steps(look())
    assert not step.allowed
    one = look()
    owned = {name: TABLE | {"is_ours": True} for name in PUBLISHED}
    (step,) = replication.publication_steps(replace(one, tables=owned))
    assert step.allowed


@pytest.mark.parametrize(
    ("version", "groups", "may"),
    [
        (150000, {}, False),
        (160000, {"pg_create_subscription": {"is_ours": True}}, True),
        (160000, {"pg_create_subscription": {"is_ours": False}}, False),
        (150000, {"rds_superuser": {"is_ours": True}}, True),
    ],
)
def test_who_may_subscribe(version: int, groups: dict[str, dict[str, bool]], may: bool):
    assert replication.may_subscribe(replace(look("replica", version=version), roles=groups)) is may


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"version": 140000, "version_text": "14.1"}, "15 is the oldest that will do"),
        ({"wal_level": "replica"}, "wal_level = replica"),
        ({"owner_of_ml": "somebody"}, "schema ml of the primary belongs to somebody"),
        ({"identity": "b"}, "primary and replica are one server"),
    ],
)
def test_what_cannot_be_set_up_is_named(change: dict[str, Any], complaint: str):
    replica = look("replica", identity="b")
    assert inspection.problems(look(), replica) == []
    assert [complaint in one for one in inspection.problems(look(**change), replica)] == [True]


def test_a_replica_that_can_have_no_pgml_is_refused():
    bare = replace(look("replica", identity="b"), engine=ENGINE | {"has_plpython": False})
    assert ["nothing to make it of" in said for said in inspection.problems(look(), bare)] == [True]
    assert inspection.problems(look(), replace(bare, engine=bare.engine | POSTGRESML)) == []


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"has_key": False}, "table issues of the primary has no primary key"),
        ({"identity": "nothing"}, "table issues of the primary has replica identity nothing"),
    ],
)
def test_tables_that_publishing_would_break_are_refused(table: dict[str, Any], complaint: str):
    one = look()
    broken = replace(one, tables=one.tables | {"issues": TABLE | table})
    assert [complaint in said for said in inspection.problems(broken, look("replica", identity="b"))] == [True]


def test_drift():
    copies = {"issues": {"id": "integer", "gone": "text", "points": "integer"}}
    source = {"issues": {"id": "integer", "points": "bigint", "new": "text"}}
    found = inspection.drift(source, copies)
    assert [line.split()[0] for line in found] == ["issues.points", "issues.new"]
    assert inspection.drift(source, source) == []
    assert inspection.drift({}, copies) == ["table issues is gone from the primary; its copy stays as it was"]


def test_engines_are_told_apart():
    names_of = {
        (None, None): "none",
        ("plpython3u", None): "ours",
        ("plpython3u", "2.10.0"): "ours as extension",
        ("c", "2.10.0"): "postgresml",
    }
    for (language, extension), name in names_of.items():
        one = replace(look("replica"), engine=ENGINE | {"language": language, "extension": extension})
        assert one.engine_name == name


def replica(engine: dict[str, Any], **server: Any) -> Look:
    return replace(look("replica", identity="b", **server), engine=ENGINE | engine)


@pytest.mark.parametrize(
    ("engine", "superuser", "chosen"),
    [
        (POSTGRESML | {"is_preloaded": True}, True, "postgresml"),
        (POSTGRESML | {"is_preloaded": True, "has_plpython": False}, False, "postgresml"),
        # A server that does not say yet what it preloads: its extension asks for that itself.
        (POSTGRESML, True, "postgresml"),
        ({}, True, "ours"),
        (OURS, True, "ours"),
        (OURS, False, "ours as extension"),
        ({"is_preloaded": True}, True, None),
        (OURS | {"is_preloaded": True}, True, None),
        ({"has_plpython": False}, True, None),
    ],
)
def test_pgml_is_made_of_what_the_server_has(engine: dict[str, Any], superuser: bool, chosen: str | None):
    one = replica(engine, is_superuser=superuser)
    assert one.engine_to_install == chosen
    assert bool(inspection.problems(look(), one)) == (chosen is None)


def test_pl_python_never_runs_beside_postgresmls_python():
    """It ended the server's process, and the server with it: signal 11."""
    preloaded = {"is_preloaded": True, "language": "plpython3u"}
    for engine in (preloaded, preloaded | {"extension": "0.1.0"}, {"is_preloaded": True}):
        [said] = inspection.problems(look(), replica(engine, is_superuser=True))
        assert "take pgml out of shared_preload_libraries" in said
    both = {"is_preloaded": True, "language": "c", "extension": "2.10.0"}
    assert inspection.problems(look(), replica(both, is_superuser=True)) == []


@pytest.mark.parametrize(
    ("engine", "server", "steps"),
    [
        (POSTGRESML | {"is_preloaded": True}, {"is_superuser": True}, [(EXTENSION, True), (GRANTS, True)]),
        # Trusted: the extension is the database owner's to make, its tables are the superuser's all the same.
        (POSTGRESML, {"may_create": True}, [(EXTENSION, True), (GRANTS, False)]),
        (POSTGRESML, {"may_create": False}, [(EXTENSION, False), (GRANTS, False)]),
        ({"language": "c"}, {}, [(GRANTS, False)]),
        ({"language": "c", "is_ours": True}, {}, [(GRANTS, True)]),
        ({"language": "c", "is_granted": True}, {}, []),
        (OURS, {}, [(EXTENSION, False)]),
    ],
)
def test_what_is_asked_of_a_server_with_an_extension(engine: dict, server: dict, steps: list):
    found = list(deployment._pgml_steps(replica(engine, **server), None))
    assert [(step.what, step.allowed) for step in found] == steps
    assert "plpython" not in "".join(step.query.as_string(None) for step in found)
