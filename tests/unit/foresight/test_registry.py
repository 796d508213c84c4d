from __future__ import annotations

import datetime
import json
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.foresight import registry
from include.foresight.errors import ConfigurationError
from include.foresight.registry import Entry, SnapshotError

ACME = Entry("acme", 1, "Acme «О'Нил»", "5 3 * * *", "Europe/Paris", "foresight_replica_2")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "registry" / "clients.json"


def test_what_is_written_is_read(path):
    registry.write(path, [ACME, Entry("beta", 2, "Beta")], {"gamma": "no replica"})
    snapshot = registry.read(path, max_age=registry.MAX_AGE)
    assert [Entry.of(one) for one in snapshot.clients] == [ACME, Entry("beta", 2, "Beta")]
    assert snapshot.problems == {"gamma": "no replica"}
    assert snapshot.error is None
    assert datetime.datetime.now(datetime.UTC) - snapshot.written_at < datetime.timedelta(minutes=1)


def test_nothing_but_the_snapshot_and_its_copy_is_left_behind(path):
    registry.write(path, [ACME])
    registry.write(path, [])
    assert sorted(file.name for file in path.parent.iterdir()) == ["clients.json", "clients.v1.json"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"schema_version": 1}',
        json.dumps({"schema_version": 1, "clients": {}, "problems": {}, "written_at": "2024-01-01"}),
        json.dumps({"schema_version": 1, "clients": [], "problems": {}, "written_at": "today"}),
        json.dumps({"schema_version": 2, "clients": [], "problems": {}, "written_at": "2024-01-01"}),
        b"\xff\xfe",
    ],
)
def test_an_unreadable_snapshot_gives_the_last_good_one_and_says_so(path, content):
    registry.write(path, [ACME])
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    snapshot = registry.read(path)
    assert [one["slug"] for one in snapshot.clients] == ["acme"]
    assert isinstance(snapshot.error, SnapshotError)
    assert str(path) in str(snapshot.error)


def test_a_snapshot_of_a_newer_version_leaves_the_copy_that_this_one_reads(path):
    registry.write(path, [ACME])
    newer = json.loads(path.read_text()) | {"schema_version": 2}
    for target in (path, path.with_name("clients.v2.json")):
        target.write_text(json.dumps(newer))
    snapshot = registry.read(path)
    assert [one["slug"] for one in snapshot.clients] == ["acme"]
    assert "schema version 2" in str(snapshot.error)


def test_no_file_at_all_is_an_error_and_not_an_exception(path):
    snapshot = registry.read(path)
    assert snapshot.clients == ()
    assert "no good copy" in str(snapshot.error)


def test_a_stale_snapshot_is_still_used_and_said_to_be_stale(path):
    registry.write(path, [ACME])
    hour_ago = time.time() - 3600
    os.utime(path, (hour_ago, hour_ago))
    snapshot = registry.read(path, max_age=registry.MAX_AGE)
    assert [one["slug"] for one in snapshot.clients] == ["acme"]
    assert "60 minutes ago" in str(snapshot.error) and "sync_clients" in str(snapshot.error)
    assert registry.read(path).error is None


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"slug": "A b"}, "slug"),
        ({"slug": None}, "slug"),
        ({"name": 3}, "name"),
        ({"client_id": "1"}, "client_id"),
        ({"replica_conn_id": None}, "replica_conn_id"),
        ({"schedule": 5}, "schedule"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": "../etc"}, "time_zone"),
    ],
)
def test_a_wrong_entry_names_the_field_and_the_value(change, word):
    stated = vars(ACME) | change
    with pytest.raises(ConfigurationError) as caught:
        Entry.of(stated)
    assert word in str(caught.value)
    assert str(change[word]) in str(caught.value)


@given(st.from_regex(registry.SLUG, fullmatch=True))
def test_the_default_schedule_is_in_the_window_and_always_the_same(slug):
    minute, hour, *rest = registry.default_schedule(slug).split()
    assert rest == ["*", "*", "*"]
    assert 60 <= int(hour) * 60 + int(minute) < 300
    assert registry.default_schedule(slug) == registry.default_schedule(slug)


def test_many_clients_are_spread_over_the_window():
    schedules = [registry.default_schedule(f"client_{number}") for number in range(1000)]
    busiest = max(schedules.count(one) for one in set(schedules))
    assert len(set(schedules)) > 200 and busiest < 20


def test_the_last_moment_due_is_in_the_clients_own_time_zone():
    before = datetime.datetime(2026, 7, 1, 12, 0, tzinfo=datetime.UTC)
    due = registry.last_due("30 2 * * *", "Asia/Tokyo", before)
    assert due.astimezone(datetime.UTC) == datetime.datetime(2026, 6, 30, 17, 30, tzinfo=datetime.UTC)
    due = registry.last_due("30 2 * * *", "America/New_York", before)
    assert due.astimezone(datetime.UTC) == datetime.datetime(2026, 7, 1, 6, 30, tzinfo=datetime.UTC)
