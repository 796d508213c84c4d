from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

import demo
from include.foresight import deployment, inspection, replication
from include.foresight.database import PRIMARY, REPLICA
from include.foresight.errors import ForesightError
from tests.support.installation import Installation


def test_a_heartbeat_travels_behind_what_was_committed_before(installed: Installation, client_ids):
    client = installed.add_client(next(client_ids))
    installed.insert("issues", [{"client_id": client, "key": f"K-{n}"} for n in range(500)])
    installed.catch_up()
    assert installed.rows(installed.replica, f"select count(*) from public.issues where client_id = {client}") == [
        (500,)
    ]
    assert installed.rows(installed.replica, f"select slug from ml.clients where client_id = {client}") == [
        (f"client_{client}",)
    ]


def test_a_heartbeat_that_is_not_committed_is_not_seen(installed: Installation):
    databases = installed.databases
    with databases.session(PRIMARY) as primary, databases.session(REPLICA) as replica:
        with pytest.raises(ZeroDivisionError), primary.as_fleet() as fleet:
            beat = replication.beat(fleet)
            raise ZeroDivisionError
        with replica.as_fleet() as fleet:
            assert not replication.seen(fleet, beat)


def test_heartbeats_only_go_forward(installed: Installation):
    with psycopg.connect(installed.primary) as connection:
        connection.execute("update ml.heartbeat set beat_at = clock_timestamp() + interval '1 hour'")
    with installed.databases.session(PRIMARY) as primary:
        with primary.as_fleet() as fleet:
            first = replication.beat(fleet)
        with primary.as_fleet() as fleet:
            assert replication.beat(fleet) > first
    with psycopg.connect(installed.primary) as connection:
        connection.execute("update ml.heartbeat set beat_at = clock_timestamp()")
    installed.catch_up()


def test_only_the_fleet_beats(installed: Installation, client_ids):
    client = installed.add_client(next(client_ids))
    with installed.databases.session(PRIMARY) as primary, pytest.raises(errors.InsufficientPrivilege):
        with primary.as_client(client) as transaction:
            replication.beat(transaction)


def test_the_fleet_reads_lag_and_state(installed: Installation):
    installed.catch_up()
    with installed.databases.session(PRIMARY) as primary, primary.as_fleet() as fleet:
        (lag,) = fleet.connection.execute(
            "select slot, active, wal_status, bytes_kept from ml.replication_lag"
        ).fetchall()
    assert lag[0].startswith("foresight_") and lag[1:3] == (True, "reserved") and lag[3] > 0
    with installed.databases.session(REPLICA) as replica, replica.as_fleet() as fleet:
        ((enabled, working, tables, ready, failed, age),) = fleet.connection.execute(
            "select enabled, working, tables, tables_ready, sync_errors, heartbeat_age_seconds"
            " from ml.replication_state"
        ).fetchall()
    count = len(replication.PUBLISHED) + len(replication.OURS)
    assert (enabled, working, tables, ready, failed) == (True, True, count, count, 0)
    assert 0 <= age < 60


def test_a_type_of_the_platforms_own_arrives_as_text(new_pair, client_ids):
    with new_pair() as pair:
        with psycopg.connect(pair.platform) as connection:
            connection.execute("create type mood as enum ('good', 'bad')")
            connection.execute("alter table issues add column mood mood, add column moods mood[]")
        client = next(client_ids)
        pair.insert("clients", {"id": client, "name": "Moody"})
        pair.insert("issues", {"client_id": client, "mood": "good", "moods": "{bad,good}"})
        pair.install()
        assert pair.rows(pair.replica, "select mood, moods from public.issues") == [("good", "{bad,good}")]


def test_a_platform_may_lack_a_table_and_get_it_later(new_pair, client_ids):
    copies = "select count(*) from public.issuetype_mappings"
    client = next(client_ids)
    with new_pair(prepared=False) as pair:
        demo.create_platform(pair.platform)
        with psycopg.connect(pair.platform) as connection:
            connection.execute("drop table issuetype_mappings")
        pair.install()
        assert pair.rows(pair.replica, copies) == [(0,)]
        pair.add_client(client)
        pair.insert("issuetypes", {"id": 1, "original_name": "Story", "hierarchy_level": 0, "client_id": client})
        pair.insert("issues", {"client_id": client, "issuetype_id": 1})
        pair.catch_up()
        assert pair.rows(pair.replica, "select issuetype from ml.source_issues") == [("Story",)]
        looks = deployment.inspect(pair.primary, pair.replica)
        assert inspection.drift(looks[0].columns, looks[1].columns) == []
        with psycopg.connect(pair.platform) as connection:
            connection.execute(
                "create table issuetype_mappings"
                " (id integer primary key, issuetype_from varchar, issuetype_to varchar, client_id integer not null)"
            )
        pair.insert("issuetype_mappings", {"id": 1, "issuetype_to": "Story", "client_id": client})
        pair.install()
        assert pair.rows(pair.replica, copies) == [(1,)]


def test_a_first_copy_that_cannot_work_ends_with_words(new_pair, client_ids):
    with new_pair() as pair:
        pair.insert("clients", {"id": next(client_ids), "name": "Twice"})
        with psycopg.connect(pair.replica) as connection:
            # A row that nobody but the subscription may write: the copy collides with it, again and again.
            connection.execute(
                "insert into public.clients (id, name) select %s, 'in the way'",
                [pair.rows(pair.primary, "select max(id) from clients")[0][0]],
            )
        with pytest.raises(ForesightError, match="no first copy of public.clients"):
            pair.install()
        with psycopg.connect(pair.replica) as connection:
            connection.execute("delete from public.clients")
        pair.install()
        assert pair.rows(pair.replica, "select name from public.clients") == [("Twice",)]
