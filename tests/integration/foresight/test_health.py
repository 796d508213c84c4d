"""What health finds, on real servers."""

from __future__ import annotations

import datetime
import socket
import threading
from datetime import timedelta

import psycopg
import pytest
from psycopg.types.json import Jsonb

from include.foresight import health, registry
from include.foresight.alerts import Alert
from include.foresight.database import PRIMARY, Databases
from include.foresight.registry import Snapshot, SnapshotError

NOW = datetime.datetime(2026, 3, 10, 12, 0, tzinfo=datetime.UTC)


@pytest.fixture
def client(installed, client_ids):
    """Due at 02:00 every night since long ago, and no run yet."""
    number = installed.add_client(next(client_ids), schedule="0 2 * * *", provisioned_at=NOW - timedelta(days=30))
    yield f"client_{number}"
    with psycopg.connect(installed.primary) as connection:
        connection.execute("update ml.clients set active = false")


def began(installed, slug, when, state="success", phases=None, **request):
    with psycopg.connect(installed.primary) as connection:
        connection.execute(
            "insert into ml.nightly_runs"
            " (run_id, client_id, dag_run_id, as_of, code_version, started_at, state, request, phases) "
            "select gen_random_uuid(), client_id, 'run ' || %(when)s::text, %(when)s, 'x', %(when)s, %(state)s, "
            "%(request)s, %(phases)s from ml.clients where slug = %(slug)s",
            {"slug": slug, "when": when, "state": state, "request": Jsonb(request), "phases": Jsonb(phases or {})},
        )


def missed(installed, now=NOW, **options):
    return health.missed_runs(installed.databases, now=now, **options)


def test_a_nightly_that_never_began_is_found_and_told_to_the_client(installed, client):
    [alert] = missed(installed)
    assert alert.slug == client
    assert "2026-03-10 02:00" in alert.body and "never" in alert.body and f"nightly__{client}" in alert.body


def test_one_that_began_late_or_by_hand_is_none(installed, client):
    began(installed, client, NOW - timedelta(hours=9))
    assert missed(installed) == []


def test_last_nights_run_does_not_count_for_tonight(installed, client):
    began(installed, client, NOW - timedelta(hours=34))
    [alert] = missed(installed)
    assert "2026-03-09 02:00" in alert.body


@pytest.mark.parametrize(
    "request_", [{"dry_run": True}, {"as_of": "2026-03-01"}, {"models": ["rework"]}], ids=["dry", "past", "one model"]
)
def test_what_looks_only_or_at_some_models_is_no_nightly(installed, client, request_):
    began(installed, client, NOW - timedelta(hours=9), **request_)
    [alert] = missed(installed)
    assert "2026-03-10 02:00" in alert.body
    began(installed, client, NOW - timedelta(hours=8), models=None)
    assert missed(installed) == []


def test_it_has_some_hours_to_begin(installed, client):
    began(installed, client, NOW - timedelta(hours=34))
    due = datetime.datetime(2026, 3, 10, 2, 0, tzinfo=datetime.UTC)
    assert missed(installed, due + health.GRACE - timedelta(minutes=1)) == []
    assert len(missed(installed, due + health.GRACE + timedelta(minutes=1))) == 1


def test_a_client_that_is_new_or_a_dag_that_is_paused_misses_nothing(installed, client):
    assert missed(installed, paused=lambda dag_id: dag_id == f"nightly__{client}") == []
    with psycopg.connect(installed.primary) as connection:
        connection.execute("update ml.clients set provisioned_at = %(now)s", {"now": NOW - timedelta(hours=5)})
    assert missed(installed) == []


@pytest.mark.parametrize("change", ["active = true", "schedule = '0 4 * * *'", "time_zone = 'Asia/Tokyo'"])
def test_a_client_that_is_activated_again_or_given_another_schedule_has_missed_nothing_before(
    installed, client, change
):
    """In the morning, when the night that it would have had is long over; the next one counts."""
    now = datetime.datetime.now(datetime.UTC)
    with psycopg.connect(installed.primary) as connection:
        if change.startswith("active"):
            connection.execute("update ml.clients set active = false")
        connection.execute(f"update ml.clients set {change}, name = name where slug = %s", [client])
        [[since]] = connection.execute("select scheduled_since from ml.clients where slug = %s", [client]).fetchall()
        # What changes nothing of the schedule is no new beginning.
        connection.execute("update ml.clients set active = active, alert_emails = '{a@example.com}'")
        [[later]] = connection.execute("select scheduled_since from ml.clients where slug = %s", [client]).fetchall()
    assert abs(since - now) < timedelta(minutes=1) and later == since
    assert missed(installed, now) == []
    [alert] = missed(installed, now + timedelta(days=2))
    assert alert.slug == client


def test_a_run_that_was_cut_off_by_deactivation_is_no_run_under_way(installed, client):
    began(installed, client, datetime.datetime.now(datetime.UTC) - timedelta(hours=2), "prepared")

    def found():
        return health.waiting_runs(installed.databases, lambda *_: {"train": "scheduled"})

    assert [alert.slug for alert in found()] == [client]
    with psycopg.connect(installed.primary) as connection:
        connection.execute("update ml.clients set active = false")
        connection.execute("update ml.clients set active = true where slug = %s", [client])
    assert found() == []


def test_one_wrong_schedule_hides_no_other_clients_run(installed, client, client_ids):
    installed.add_client(next(client_ids), schedule="61 25 * * *", provisioned_at=NOW - timedelta(days=30))
    installed.add_client(next(client_ids), time_zone="Mars/Olympus", provisioned_at=NOW - timedelta(days=30))
    assert [alert.slug for alert in missed(installed)] == [client]


def test_a_run_that_waits_for_its_pool_is_found(installed, client):
    now = datetime.datetime.now(datetime.UTC)
    began(installed, client, now - timedelta(hours=2), "prepared")
    asked = []

    def states(dag_id, run_id):
        asked.append((dag_id, run_id))
        return {"prepare": "success", "validate": "scheduled"}

    [alert] = health.waiting_runs(installed.databases, states)
    assert alert.slug == client and "validate" in alert.body and "foresight_replica" in alert.body
    assert asked[0][0] == f"nightly__{client}"
    for other in ({"train": "running", "gate": "scheduled"}, {"train": "success"}, {}):
        assert health.waiting_runs(installed.databases, lambda *_, other=other: other) == []


def test_a_replica_that_keeps_up_is_no_trouble(installed):
    installed.catch_up()
    assert health.replication_troubles(installed.databases, ["foresight_replica"], patience=20) == []


def test_a_subscription_that_is_disabled_is_found_on_both_sides(installed):
    with psycopg.connect(installed.replica, autocommit=True) as connection:
        connection.execute("alter subscription foresight disable")
    try:
        with psycopg.connect(installed.primary, autocommit=True) as connection:
            for _ in range(100):
                if connection.execute("select not bool_or(active) from ml.replication_lag").fetchone()[0]:
                    break
                connection.execute("select pg_sleep(0.05)")
        found = health.replication_troubles(installed.databases, ["foresight_replica", "nowhere"], patience=0.5)
    finally:
        with psycopg.connect(installed.replica, autocommit=True) as connection:
            connection.execute("alter subscription foresight enable")
    texts = {alert.cause.split(":")[0] + ":" + alert.cause.split(":")[1]: alert.body for alert in found}
    assert any(key.startswith("slot:foresight") and "nobody reads it" in text for key, text in texts.items()), texts
    assert "subscription disabled" in texts["replica:foresight_replica"]
    assert "nowhere" in texts["replica:nowhere"]


def of_replicas(found: list[Alert]) -> list[str]:
    """Without those of slots."""
    return [alert.body for alert in found if alert.cause.startswith("replica:")]


def test_replicas_are_asked_together(installed):
    """Each connects only once all three do: asked in turn, the first would wait for the others in vain."""
    together = threading.Barrier(3, timeout=10)

    def connect(conn_id: str):
        if conn_id != PRIMARY:
            together.wait()
            raise psycopg.OperationalError(f"{conn_id} is down")
        return psycopg.connect(installed.app(PRIMARY))

    found = of_replicas(health.replication_troubles(Databases(connect), ["a", "b", "c"]))
    assert found == [f"replica {one}: it cannot be used: {one} is down." for one in "abc"]


def test_a_replica_that_takes_a_connection_and_says_nothing_hides_no_other(installed, monkeypatch):
    installed.catch_up()
    monkeypatch.setattr(health, "ANSWER_TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = f"host=127.0.0.1 port={silent.getsockname()[1]}"

        def connect(conn_id: str):
            return psycopg.connect(mute if conn_id == "mute" else installed.app(conn_id))

        found = health.replication_troubles(Databases(connect), ["mute", "foresight_replica"], patience=5)
    assert of_replicas(found) == ["replica mute: it does not answer within 5 s."]


def test_the_registrys_troubles_are_named_one_by_one():
    found = health.registry_troubles(
        Snapshot(problems={"adrift": "no replica"}, error=SnapshotError("stale")), {"odd": "bad cron"}
    )
    assert [alert.cause.split(":")[0] for alert in found] == ["snapshot", "no_dag", "broken_entry"]
    assert "adrift" in found[1].subject and found[1].body == "no replica"
    assert "odd" in found[2].subject and "bad cron" in found[2].body
    assert health.registry_troubles(Snapshot(), {}) == []


def test_causes_carry_the_day():
    one = health.registry_troubles(Snapshot(error=registry.SnapshotError("x")), {})
    assert one[0].cause == f"snapshot:{health.today()}"


def test_an_unhealthy_model_is_told_to_its_client_without_rows(installed, client):
    began(installed, client, datetime.datetime.now(datetime.UTC))
    with psycopg.connect(installed.primary) as connection:
        connection.execute(
            "insert into ml.model_health (client_id, model, run_id, status, reason)"
            " select client_id, model, run_id, status, 'issue 4711 was answered with 3' from ml.nightly_runs"
            " cross join (values ('complexity', 'unhealthy'), ('rework', 'healthy'), ('trajectory', 'degraded'))"
            " as looks (model, status) where client_id = (select client_id from ml.clients where slug = %s)",
            [client],
        )
    [alert] = health.model_troubles(installed.databases)
    assert alert.slug == client and "complexity" in alert.subject and "rollback" in alert.body
    assert "4711" not in alert.body
    assert health.model_troubles(installed.databases) == [alert]  # the same cause: told once


def test_what_is_mended_or_long_ago_is_no_trouble(installed, client):
    began(installed, client, NOW)
    with psycopg.connect(installed.primary) as connection:
        connection.execute(
            "insert into ml.model_health (client_id, model, run_id, status, reason, checked_at)"
            " select client_id, 'complexity', run_id, 'unhealthy', 'x', clock_timestamp() - interval '3 days'"
            " from ml.nightly_runs where client_id = (select client_id from ml.clients where slug = %s)",
            [client],
        )
    assert health.model_troubles(installed.databases) == []


def test_blocked_data_is_told_by_the_names_of_the_checks(installed, client):
    began(installed, client, datetime.datetime.now(datetime.UTC))
    with psycopg.connect(installed.primary) as connection:
        connection.execute(
            """update ml.nightly_runs set phases = '{"validate": {"blocked": {"rework": "rows of Alice are wrong"}}}'"""
        )
        connection.execute(
            "insert into ml.validation_results (run_id, client_id, check_name, model, severity, passed, reason)"
            " select run_id, client_id, 'a_check', 'rework', 'block', false, 'rows of Alice are wrong'"
            " from ml.nightly_runs where client_id = (select client_id from ml.clients where slug = %s)",
            [client],
        )
    [alert] = health.model_troubles(installed.databases)
    assert alert.slug == client and "a_check" in alert.body and "rework" in alert.body and "Alice" not in alert.body


def test_blocked_data_are_those_of_each_models_last_run(installed, client):
    """A later run of another model, a dry run and a night without news say nothing about it; a run of its own does."""
    now = datetime.datetime.now(datetime.UTC)
    began(
        installed,
        client,
        now - timedelta(hours=5),
        phases={"validate": {"blocked": {"rework": "x", "complexity": "y"}}},
    )
    nothing = {"validate": {"blocked": {}}}
    began(installed, client, now - timedelta(hours=4), phases=nothing, models=["complexity"])
    began(installed, client, now - timedelta(hours=3), phases=nothing, models=["rework"], dry_run=True)
    began(installed, client, now - timedelta(hours=2), state="unchanged")
    [alert] = health.model_troubles(installed.databases)
    assert "blocked rework." in alert.body
    began(installed, client, now - timedelta(hours=1), phases=nothing)
    assert health.model_troubles(installed.databases) == []
