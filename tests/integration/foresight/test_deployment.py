"""Set-up of both databases, with the platform's data there before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import demo
from include.foresight import deployment
from include.foresight.errors import ConfigurationError
from include.foresight.replication import OURS, PUBLISHED
from launcher.processes import wait_until
from tests.support.definitions import dump
from tests.support.installation import Installation

END = datetime(2026, 3, 10, 9)


@dataclass(frozen=True)
class Loaded:
    installation: Installation
    public_before: list[str]


@pytest.fixture(scope="module")
def loaded(new_pair) -> Iterator[Loaded]:
    with new_pair(prepared=False) as made:
        demo.create_platform(made.platform)
        demo.load_generated(made.platform, end=END)
        before = dump(made.primary, "--schema=public")
        made.install()
        yield Loaded(made, before)


@pytest.fixture
def installation(loaded: Loaded) -> Installation:
    return loaded.installation


@pytest.mark.parametrize("table", PUBLISHED)
def test_the_first_copy_is_whole(installation: Installation, table: str):
    column = "id" if table == "clients" else "client_id"
    query = f"select {column}, count(*) from public.{table} group by 1 order by 1"
    assert installation.rows(installation.replica, query) == installation.rows(installation.primary, query)


def test_the_generated_data_are_in_the_copies(installation: Installation):
    """Of the tables that the platform fills, none was compared empty with empty."""
    counts = {
        name: installation.rows(installation.replica, f"select count(*) from public.{name}")[0][0] for name in PUBLISHED
    }
    assert counts["clients"] == 3
    assert min(counts[name] for name in ("issues", "issue_changelogs", "pull_requests", "pull_request_commits")) > 1000


def test_set_up_leaves_the_platform_as_it_was(loaded: Loaded):
    primary = loaded.installation.primary
    assert any(entry.startswith("issues; Type: TABLE;") for entry in loaded.public_before)
    assert dump(primary, "--schema=public", "--no-publications") == loaded.public_before


def test_the_platform_sees_and_writes_its_rows_as_before(installation: Installation):
    for table in PUBLISHED:
        count = f"select count(*) from public.{table}"
        assert installation.rows(installation.platform, count) == installation.rows(installation.primary, count)
    (issue,) = installation.insert("issues", {"client_id": 2, "key": "NEW-1"})
    with psycopg.connect(installation.platform) as connection:
        assert connection.execute("update issues set summary = 'now' where id = %s", [issue]).rowcount == 1
    installation.catch_up()
    query = f"select client_id, key, summary from public.issues where id = {issue}"
    assert installation.rows(installation.replica, query) == [(2, "NEW-1", "now")]
    with psycopg.connect(installation.platform) as connection:
        assert connection.execute("delete from issues where id = %s", [issue]).rowcount == 1
    installation.catch_up()
    assert installation.rows(installation.replica, query) == []


def test_every_published_table_is_ready(installation: Installation):
    states = installation.rows(
        installation.replica, "select srrelid::regclass::text, srsubstate from pg_subscription_rel order by 1"
    )
    wanted = [*(f"public.{name}" for name in PUBLISHED), *(f"ml.{name}" for name in OURS)]
    assert {name if "." in name else f"public.{name}": state for name, state in states} == dict.fromkeys(wanted, "r")


def test_nobody_else_writes_the_copies(installation: Installation):
    query = """
    select r.rolname, c.oid::regclass::text
    from pg_roles as r
    cross join pg_subscription_rel as s
    join pg_class as c on c.oid = s.srrelid
    where
        not r.rolsuper
        and r.rolname not in ('foresight_owner', 'pg_write_all_data')
        and has_table_privilege(r.oid, c.oid, 'insert, update, delete, truncate, references, trigger')
    """
    assert installation.rows(installation.replica, query) == []
    writers = "select rolname from pg_roles where pg_has_role(oid, 'foresight_owner', 'usage') and not rolsuper"
    assert installation.rows(installation.replica, writers) == [("foresight_owner",)]


def test_the_copies_have_the_columns_that_not_every_platform_has(installation: Installation):
    columns = installation.rows(
        installation.replica,
        """
        select table_name, column_name, data_type
        from information_schema.columns
        where
            (table_name = 'pull_requests' and column_name = 'state')
            or (table_name = 'issues' and column_name in ('comment_count', 'assignee_id'))
        order by 1, 2
        """,
    )
    assert columns == [
        ("issues", "assignee_id", "integer"),
        ("issues", "comment_count", "integer"),
        ("pull_requests", "state", "character varying"),
    ]


@pytest.mark.own_engine
def test_pgml_is_there(installation: Installation):
    assert "pgml_engine" in installation.rows(installation.replica, "select pgml.version()")[0][0]


def test_a_second_set_up_changes_nothing(installation: Installation):
    def state() -> list[object]:
        applied = "select part, digest, applied_at from ml.applied order by part"
        return [
            dump(installation.primary),
            dump(installation.replica),
            installation.rows(installation.primary, applied),
            installation.rows(installation.replica, applied),
        ]

    before = state()
    assert installation.install() == []
    assert state() == before


def test_the_logins_work_with_their_passwords_and_no_others(installation: Installation):
    # Whoever runs the server of --pgml-dsn decides whom it asks for a password.
    asking = [place for place in (installation.primary, installation.replica) if asks_for_passwords(place)]
    assert installation.primary in asking
    for place in asking:
        login = make_conninfo(place, user=deployment.APP, password=installation.passwords.app)
        assert installation.rows(login, "select current_user") == [("foresight_app",)]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(make_conninfo(login, password="guessed"))


def asks_for_passwords(place: str) -> bool:
    try:
        psycopg.connect(make_conninfo(place, password="guessed")).close()
    except psycopg.OperationalError:
        return True
    return False


def test_another_address_of_the_primary_reaches_the_subscription(installation: Installation):
    def conninfo() -> str:
        # Subscriptions of a server's other databases, other workers' tests, are in the same catalogue.
        mine = "subdbid = (select oid from pg_database where datname = current_database())"
        [(text,)] = installation.rows(installation.replica, f"select subconninfo from pg_subscription where {mine}")
        return text

    moved = make_conninfo(installation.for_replica, application_name="moved")
    deployment.install(
        installation.primary,
        installation.replica,
        replication_dsn_for_replica=moved,
        passwords=installation.passwords,
        progress=lambda _: None,
    )
    assert conninfo() == moved
    installation.catch_up()
    installation.install()
    assert conninfo() == installation.for_replica
    installation.catch_up()


def test_a_column_that_the_platform_adds_is_followed(installation: Installation):
    with psycopg.connect(installation.platform) as connection:
        connection.execute("alter table issues add column mood varchar default 'fine'")
    (issue,) = installation.insert("issues", {"client_id": 1, "key": "MOOD-1", "mood": "good"})
    installation.install()
    installation.catch_up()
    query = f"select mood from public.issues where id = {issue}"
    assert installation.rows(installation.replica, query) == [("good",)]


def test_a_lost_slot_means_a_new_copy(installation: Installation):
    with psycopg.connect(installation.replica, autocommit=True) as connection:
        connection.execute("alter subscription foresight disable")
    with psycopg.connect(installation.primary, autocommit=True) as connection:
        (slot,) = connection.execute(
            "select slot_name from pg_replication_slots where database = current_database()"
        ).fetchone()
        active = "select active from pg_replication_slots where slot_name = %s"
        assert wait_until(lambda: not connection.execute(active, [slot]).fetchone()[0], 60, 0.05)
        connection.execute("select pg_drop_replication_slot(%s)", [slot])
    (issue,) = installation.insert("issues", {"client_id": 1, "key": "MISSED-1"})
    said = installation.install()
    assert any("is lost, so everything is copied anew" in line for line in said)
    count = "select count(*), max(id) from public.issues"
    assert installation.rows(installation.replica, count) == installation.rows(installation.primary, count)
    assert installation.rows(installation.replica, "select max(id) from public.issues") == [(issue,)]


def test_a_primary_that_cannot_publish_is_refused_with_what_to_do(installation: Installation):
    # The replica's own server runs with less WAL than publishing needs; that of --pgml-dsn perhaps does not.
    [(level,)] = installation.rows(installation.replica, "show wal_level")
    if level == "logical":
        pytest.skip("the server of --pgml-dsn could be a primary")
    with pytest.raises(ConfigurationError, match=f"the primary runs with wal_level = {level}: set it to logical"):
        deployment.prepare(installation.replica, installation.primary, passwords=installation.passwords)


def test_one_server_for_both_is_refused(installation: Installation):
    with pytest.raises(ConfigurationError, match="primary and replica are one server"):
        deployment.prepare(installation.primary, installation.primary, passwords=installation.passwords)


def test_set_up_without_a_superuser_is_refused(new_pair):
    with new_pair() as pair, pytest.raises(ConfigurationError, match="the primary needs a superuser; platform is none"):
        deployment.prepare(pair.platform, pair.replica, passwords=pair.passwords)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("drop table repositories", "schema public has no table repositories"),
        ("alter table statuses drop constraint statuses_pkey", "table statuses of the primary has no primary key"),
    ],
)
def test_a_platform_that_lacks_something_is_refused(new_pair, change: str, complaint: str):
    with new_pair(prepared=False) as pair:
        demo.create_platform(pair.platform)
        with psycopg.connect(pair.platform) as connection:
            connection.execute(change)
        with pytest.raises(ConfigurationError, match=complaint):
            pair.install()


def test_a_rebuilt_replica_gives_no_model_an_id_that_is_in_service(new_pair, client_ids):
    """Champions are named by the id of their model: a new replica that counted from 1 would answer with another's."""
    with new_pair() as first:
        with psycopg.connect(first.primary) as primary:
            client = next(client_ids)
            primary.execute(
                "insert into ml.clients (client_id, slug, name) values (%s, %s, 'Old')", [client, f"old_{client}"]
            )
            primary.execute(
                "insert into ml.nightly_runs (run_id, client_id, dag_run_id, as_of, code_version)"
                " values (gen_random_uuid(), %s, 'r', now(), 'x')",
                [client],
            )
            primary.execute(
                "insert into ml.training_runs (model_uuid, run_id, client_id, model, model_name, spec_digest, status,"
                " replica_conn_id, pgml_model_id, code_version) select gen_random_uuid(), run_id, client_id, 'rework',"
                " 'p', 'd', 'trained', 'foresight_replica', 41, 'x' from ml.nightly_runs"
            )
        first.install()
        with psycopg.connect(first.replica) as replica:
            assert replica.execute("select nextval('pgml.models_id_seq')").fetchone() == (42,)
        first.install()
        with psycopg.connect(first.replica) as replica:
            assert replica.execute("select nextval('pgml.models_id_seq')").fetchone() == (43,)
