"""Attach and detach on servers that somebody else has made, with a login that is no superuser.

The tests are one story: each goes on where the one before has stopped.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from include.foresight import names
from include.foresight.database import PRIMARY, REPLICA
from include.foresight.replication import PUBLISHED
from launcher import attach, cli
from launcher.attach import Servers as Pair
from tests.support import estates
from tests.support.definitions import dump, roles
from tests.support.estates import Estate


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    with estates.make(tmp_path_factory.mktemp("attach")) as made:
        yield made


def test_a_dry_run_tells_and_changes_nothing(estate: Estate):
    code, said = estate.attach("--dry-run")
    assert estate.state() == estate.before
    assert not (estate.folder / "foresight.env").exists()
    assert code == cli.ADMINISTRATOR_NEEDED
    for line in (
        "primary: login rds_admin: may make roles, may make schemas, owns the database",
        "primary: issues: owner platform (the login is not), primary key, replica identity default",
        "primary: issues: present 22 of 24 columns that are read; absent: comment_count, assignee_id",
        "primary: pull_requests: present 20 of 21 columns that are read; absent: state",
        "replica: pgml: none",
        "primary: would make role foresight_owner",
        "nothing was changed",
    ):
        assert line in said
    assert 'alter role "foresight_replication" replication;' in (estate.folder / "primary.sql").read_text()
    assert '\n-- create publication "foresight"' in (estate.folder / "primary.sql").read_text(), "names tables to come"
    assert '\n-- create subscription "foresight"' in (estate.folder / "replica.sql").read_text()
    assert 'create role "foresight_owner"' not in (estate.folder / "primary.sql").read_text(), "ours to make"
    for name in ("primary.sql", "replica.sql"):
        (estate.folder / name).unlink()


def test_what_the_login_may_not_do_is_left_to_an_administrator(estate: Estate):
    code, said = estate.attach()
    assert code == cli.ADMINISTRATOR_NEEDED
    assert "An administrator of the primary has to run" in said
    for name in ("foresight.env", "primary.sql", "replica.sql"):
        assert stat.S_IMODE((estate.folder / name).stat().st_mode) == 0o600, name
    script = (estate.folder / "primary.sql").read_text()
    assert "replication" in script and "create publication" in script and "bypassrls" not in script
    assert estate.administer() == ["primary", "replica"]


def test_the_next_attach_finishes(estate: Estate):
    code, said = estate.attach("--register-clients")
    assert (code, "2 new in the registry" in said) == (0, True), said
    assert "pgml" in said
    for name in PUBLISHED:
        query = f"select count(*) from public.{name}"
        assert rows(estate.replica, query) == rows(estate.primary, query)
    lines = (estate.folder / "foresight.env").read_text().splitlines()
    assert [line.partition("=")[0] for line in lines[:2]] == list(attach.CONNECTIONS)
    flags = (
        "select rolname, rolsuper or rolbypassrls from pg_roles where rolname like 'foresight%' and rolname !~ '_[0-9]'"
    )
    assert {on for _, on in rows(estate.primary, flags)} == {False}


def test_another_attach_has_nothing_to_do(estate: Estate):
    before = estate.state()
    code, said = estate.attach()
    assert code == 0 and "administrator" not in said
    assert estate.state() == before


def test_policies_hold_without_bypassrls(estate: Estate):
    """Each client sees its own rows, on the copies and in schema ml, and changes travel on."""
    with psycopg.connect(estate.platform) as connection:
        connection.execute("insert into issues (client_id, key) values (2, 'LATER-1')")
    with estate.databases().session(PRIMARY) as primary, primary.as_fleet() as fleet:
        beat = fleet.one("replication/beat")["beat_at"]
    with estate.databases().session(REPLICA) as replica:
        for _ in range(1000):
            with replica.as_fleet() as fleet:
                if fleet.one("replication/seen", {"beat": beat})["seen"]:
                    break
        for client, count in ((1, 20), (2, 21)):
            with replica.as_client(client) as tx:
                counted = "select array_agg(distinct client_id), count(*)::integer from "
                assert tx.connection.execute(counted + "public.issues").fetchone() == ([client], count)
                assert tx.connection.execute(counted + "ml.clients").fetchone() == ([client], 1)
                assert tx.connection.execute(counted + "ml.source_issues").fetchone() == ([client], count)
                with pytest.raises(errors.InsufficientPrivilege), tx.savepoint():
                    tx.connection.execute("update public.issues set key = key")
    forced = "select count(*) from pg_class where relnamespace = 'ml'::regnamespace and relforcerowsecurity"
    assert rows(estate.primary, forced)[0][0] > 10
    owned = "select distinct polroles::regrole[]::text from pg_policy where polname = 'owner_all'"
    assert rows(estate.primary, owned) == [(f"{{{names.OWNER}}}",)]


def test_the_owner_works_because_of_its_policies(estate: Estate):
    """What provisions a client runs as the owner, under forced policies: without the one that names it, nothing."""
    with psycopg.connect(estate.primary) as connection:
        connection.execute("set role foresight_owner")
        count = "select count(*) from ml.clients"
        assert connection.execute(count).fetchone() == (2,)
        connection.execute("drop policy owner_all on ml.clients")
        assert connection.execute(count).fetchone() == (0,)
        connection.rollback()


def test_drift_is_told_and_attach_repairs_it(estate: Estate):
    with psycopg.connect(estate.platform) as connection:
        connection.execute("alter table issues add column mood varchar")
        connection.execute("alter table projects alter column key type text")
        connection.execute("alter table projects alter column integration_id type bigint")
    code, said = estate.run("status")
    assert "issues.mood (character varying) is new on the primary" in said
    assert "projects.integration_id is bigint on the primary and integer in its copy" in said
    assert "projects.key is text on the primary and character varying in its copy" in said
    assert said.count("warning") == 3
    assert estate.attach()[0] == 0
    assert estate.run("status") == (0, "")
    views = "select count(*) from pg_views where schemaname = 'ml' and viewname like 'source%'"
    assert rows(estate.replica, views) == [(5,)]


def test_detach_tells_first(estate: Estate):
    before = estate.state()
    code, said = estate.run("detach", "--everything", "--sql", str(estate.folder))
    assert estate.state() == before
    assert "would go with 2 clients" in said
    assert "nothing was changed" in said
    (estate.folder / "replica.sql").unlink()


def test_detach_leaves_the_platform_as_it_was(estate: Estate):
    """The subscription is a superuser's here, the slot replication's: those are an administrator's to drop."""
    for _ in range(4):
        code, said = estate.run("detach", "--everything", "--yes", "--sql", str(estate.folder))
        if not code:
            break
        assert estate.administer()
    assert code == 0, said
    with psycopg.connect(estate.platform) as connection:
        connection.execute("alter table issues drop column mood")
        connection.execute("alter table projects alter column key type varchar")
        connection.execute("alter table projects alter column integration_id type integer")
    (primary, primary_roles), (_, replica_roles) = estate.state()
    assert primary == estate.before[0][0]
    assert primary_roles == estate.before[0][1]
    left = [role for role in replica_roles if not role[0].startswith("pgml_")]
    assert [role[:10] for role in left] == [role[:10] for role in estate.before[1][1]]
    assert rows(estate.primary, "select slot_name from pg_replication_slots") == []
    assert rows(estate.replica, "select nspname from pg_namespace where nspname like 'ml%'") == []
    assert rows(estate.replica, "select relname from pg_class where relname = 'issues'") == []


def test_a_superuser_attaches_and_detaches_in_one_go(estate: Estate):
    servers = Pair(estate.primary, estate.replica)
    said: list[str] = []
    result = attach.attach(servers, {}, said.append)
    assert result.left == []
    assert "replica: pgml: ours, installed by its scripts" in said
    assert rows(estate.replica, "select count(*) from public.issues") == rows(
        estate.primary, "select count(*) from public.issues"
    )
    assert attach.detach(servers, everything=True, yes=True, say=said.append).left == []
    assert dump(estate.primary) == estate.before[0][0]
    assert roles(estate.primary) == estate.before[0][1]


def rows(place: str, query: str) -> list[tuple]:
    with psycopg.connect(place) as connection:
        return connection.execute(query).fetchall()
