"""Attach and detach on servers that somebody else has made, with a login that is no superuser.

The tests are one story: each goes on where the one before has stopped.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import make_conninfo

import demo
from include.foresight import names
from include.foresight.database import PRIMARY, REPLICA
from include.foresight.deployment import APP, REPLICATION
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


def test_what_another_database_of_the_servers_uses_stays(estate: Estate, outlet: Pair):
    """Roles belong to the whole server. The one that is detached first leaves them to the other, and nothing of its own
    that would keep the other from removing them."""
    said: list[str] = []
    shop = Pair(estate.primary, estate.replica)
    environment = attach.attach(shop, {}, said.append).environment
    passwords = {role: environment[name] for role, name in attach.VARIABLES.items()}
    assert attach.attach(outlet, passwords, said.append).left == []
    for pair in (shop, outlet):
        attach.register_clients(pair, said.append)
    with psycopg.connect(shop.primary) as connection:
        # An administrator's, as docs/attach.md offers.
        connection.execute("grant select on issues to foresight_reader")

    told: list[str] = []
    attach.detach(shop, everything=True, yes=False, say=told.append)
    assert "primary: keeps 9 of Foresight's roles for database outlet" in told
    assert not [line for line in told if "would remove role" in line]
    assert attach.detach(shop, everything=True, yes=True, say=said.append).left == []
    assert "replica: keeps 7 of Foresight's roles for database outlet" in said
    assert dump(shop.primary) == estate.before[0][0]
    for place in (shop.primary, shop.replica):
        assert rows(place, GRANTED_HERE) == [], "a grant that is left would keep the roles for ever"
    assert names_of(outlet, passwords, client=2) == ("Two", "Two")
    with psycopg.connect(outlet.subscription(passwords[REPLICATION])) as connection:
        assert connection.execute("select count(*) from clients").fetchone() == (2,)

    with psycopg.connect(shop.primary) as connection:
        connection.execute("alter role foresight_reader in database postgres set work_mem to '8MB'")
    assert attach.detach(outlet, everything=True, yes=True, say=said.append).left == []
    assert said[-1] == "primary: keeps 1 of Foresight's roles for database postgres"
    assert ours_of(shop) == (["foresight_reader"], [])
    with psycopg.connect(shop.primary) as connection:
        connection.execute("drop role foresight_reader")


def test_what_another_replica_reads_stays(estate: Estate, outlet: Pair):
    """One replica is taken away: the primary goes on with the other, and with all that was learned."""
    said: list[str] = []
    first, second = Pair(estate.primary, estate.replica), Pair(estate.primary, outlet.replica)
    environment = attach.attach(first, {}, said.append).environment
    passwords = {role: environment[name] for role, name in attach.VARIABLES.items()}
    assert attach.attach(second, passwords, said.append).left == []
    attach.register_clients(first, said.append)
    said.clear()

    assert attach.detach(second, everything=True, yes=True, say=said.append).left == []
    assert not [line for line in said if line.startswith("schema ml of the primary goes")]
    assert rows(estate.primary, "select slot_name ~ '^foresight_shop_', active from pg_replication_slots") == [
        (True, True)
    ]
    assert rows(second.replica, "select nspname from pg_namespace where nspname like 'ml%'") == []
    assert names_of(first, passwords, client=2) == ("Two", "Two")
    assert attach.attach(first, passwords, said.append).left == []

    assert attach.detach(first, everything=True, yes=True, say=said.append).left == []
    assert ours_of(first) == ([], [])
    assert rows(estate.primary, "select slot_name from pg_replication_slots") == []


GRANTED_HERE = """
select r.rolname, pg_describe_object(d.classid, d.objid, d.objsubid)
from pg_shdepend as d
join pg_roles as r on r.oid = d.refobjid
join pg_database as here on here.datname = current_database()
where r.rolname like 'foresight%' and (d.dbid = here.oid or (d.dbid = 0 and d.objid = here.oid))
"""


@pytest.fixture(scope="module")
def outlet(estate: Estate) -> Pair:
    """Another database on the same two servers, in which nobody may do what everybody may by default."""
    for place in (estate.primary, estate.replica):
        with psycopg.connect(place, autocommit=True) as connection:
            connection.execute("create database outlet")
            connection.execute("revoke all on database outlet from public")
    pair = Pair(*(make_conninfo(place, dbname="outlet") for place in (estate.primary, estate.replica)))
    demo.create_platform(pair.primary)
    with psycopg.connect(pair.primary) as connection:
        connection.execute("insert into clients (name) values ('One'), ('Two')")
    return pair


def ours_of(pair: Pair) -> tuple[list[str], list[str]]:
    query = "select rolname from pg_roles where rolname like 'foresight%' order by 1"
    return tuple([name for (name,) in rows(place, query)] for place in (pair.primary, pair.replica))


def names_of(pair: Pair, passwords: dict[str, str], *, client: int) -> tuple[str, str]:
    """The client's own name as its role reads it from either server, by new sessions of the application's login."""
    found = []
    for place in (pair.primary, pair.replica):
        with psycopg.connect(make_conninfo(place, user=APP, password=passwords[APP])) as connection:
            connection.execute(f"set role {names.client_role(client)}")
            found.append(connection.execute("select name from ml.clients").fetchone()[0])
    return tuple(found)


def rows(place: str, query: str) -> list[tuple]:
    with psycopg.connect(place) as connection:
        return connection.execute(query).fetchall()
