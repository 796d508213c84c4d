"""The first phase: the replica behind, down or up to date; what crashed nights left; nights without news."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from include.foresight import model_specs, nightly, promotion, reporting, runs
from include.foresight.database import PRIMARY, REPLICA, Databases
from include.foresight.errors import ClientBusy, ConfigurationError, ReplicaBehind, RunNotPrepared, UnknownClient
from include.foresight.replication import SUBSCRIPTION
from tests.support import nights
from tests.support.installation import Installation
from tests.support.nights import Bench
from tests.support.servers import free_port


def prepare(bench: Bench, dag_run_id: str = "night", databases: Databases | None = None, **request) -> dict:
    patience = {key: request.pop(key) for key in ("patience", "waited", "at_most") if key in request}
    return nightly.prepare(databases or bench.databases, bench.slug, dag_run_id, request, **patience)


def row(bench: Bench, columns: str, dag_run_id: str = "night") -> tuple:
    [found] = bench.rows(columns, "nightly_runs", "and dag_run_id = %(id)s", id=dag_run_id)
    return found


def let_something_serve(bench: Bench) -> None:
    """The recent distribution, for every model."""
    with bench.databases.primary() as primary, primary.as_client(bench.client_id) as tx:
        for model in model_specs.names():
            target = {"rung": "recent", "model_uuid": None, "model_name": "none", "replica_conn_id": REPLICA}
            target |= {"pgml_model_id": None, "feature_hash": None}
            promotion.move(tx, bench.client_id, model, None, target, None, "test", "put there by hand")


def whole_night(bench: Bench, dag_run_id: str, **request) -> str:
    """Prepare and, where there was something to do, report; the state that prepare gave."""
    state = prepare(bench, dag_run_id, **request)["state"]
    if state == "prepared":
        reporting.report(bench.databases, bench.slug, dag_run_id, {"prepare": "success"})
    return state


def test_the_first_night_is_opened(bench: Bench):
    before = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    found = prepare(bench, trigger="manual")
    assert (found["state"], found["reason"]) == ("prepared", "the first night")
    state, run_id, as_of, request, finished = row(bench, "state, run_id, as_of, request, finished_at")
    assert (state, str(run_id), as_of.isoformat(), finished) == ("prepared", found["run_id"], found["as_of"], None)
    assert before < as_of < before + datetime.timedelta(minutes=1)
    nothing = {"models": None, "force_retrain": False, "dry_run": False, "as_of": None, "reason": None}
    assert request == nothing | {"trigger": "manual"}
    assert runs.find(bench.databases, bench.slug, "night").run_id == run_id


def test_a_repeated_prepare_keeps_its_moment(bench: Bench):
    first = prepare(bench)
    again = prepare(bench)
    assert (again["run_id"], again["as_of"], again["state"]) == (first["run_id"], first["as_of"], "prepared")
    assert len(bench.rows("1", "nightly_runs")) == 1


def test_a_stated_moment_is_taken_in_utc(bench: Bench):
    prepare(bench, as_of="2025-03-01T12:00:00+02:00")
    assert row(bench, "as_of") == (datetime.datetime(2025, 3, 1, 10),)
    with pytest.raises(ConfigurationError, match="as_of must be a moment like .*, got 'yesterday'"):
        prepare(bench, "other", as_of="yesterday")


@pytest.mark.parametrize("asked", [{}, {"dry_run": True}, {"force_retrain": True}], ids=str)
def test_a_moment_of_the_future_is_refused_before_anything_is_written(bench: Bench, asked):
    let_something_serve(bench)
    crashed = bench.night(state="running")
    message = (
        f"client '{bench.slug}': as_of 2099-01-01 00:00:00 lies after the database's clock, .*: nothing was written"
    )
    with pytest.raises(ConfigurationError, match=message):
        prepare(bench, as_of="2099-01-01T00:00:00", **asked)
    # Not even what a crash left was ended.
    assert bench.rows("run_id, state", "nightly_runs") == [(crashed.run_id, "running")]
    assert prepare(bench, "the next")["state"] == "prepared"


def test_a_moment_after_the_data_is_refused_where_these_are_the_clock(installed: Installation, databases, client_ids):
    bench = nights.bench(installed, databases, next(client_ids), clock="data")
    desk = nights.desk(installed, bench.client_id)
    desk.insert("issues", [desk.issue(created=nights.ago(3))])
    with pytest.raises(
        ConfigurationError, match="lies after the last moment of the client's data, 2025-05-29 00:00:00"
    ):
        prepare(bench, as_of=nights.ago(2).isoformat())
    assert prepare(bench, as_of=nights.ago(3).isoformat())["state"] == "prepared"


def test_no_row_of_a_run_is_of_the_future(bench: Bench):
    """Whoever writes it."""
    with pytest.raises(psycopg.errors.CheckViolation, match="nightly_runs_as_of_is_reached"):
        bench.night(datetime.datetime(2099, 1, 1))


@pytest.mark.parametrize("written", [{}, {"last_updated_at": nights.AS_OF}], ids=["alone", "beside rows with a date"])
def test_an_absurd_date_is_no_clock(installed: Installation, databases, client_ids, written):
    """Of the future, even where the platform's own date of the row is absurd as well."""
    bench = nights.bench(installed, databases, next(client_ids), clock="data")
    desk = nights.desk(installed, bench.client_id)
    desk.insert("issues", [desk.issue(created=nights.ago(3), **written)])
    absurd = datetime.datetime(2099, 5, 31)
    desk.insert("issues", [desk.issue(created=absurd, updated=absurd, last_updated_at=absurd)])
    prepare(bench)
    assert row(bench, "as_of") == (nights.ago(3),)


def test_a_clock_that_has_gone_back_starts_again(installed: Installation, databases, client_ids):
    """A date that was wrong and is not of the future makes a run of its moment; once it is corrected, runs go on."""
    bench = nights.bench(installed, databases, next(client_ids), clock="data")
    desk = nights.desk(installed, bench.client_id)
    desk.insert("issues", [desk.issue(created=nights.ago(3))])
    wrong = nights.AS_OF + datetime.timedelta(days=200)
    [issue] = desk.insert("issues", [desk.issue(created=wrong, last_updated_at=wrong)])
    let_something_serve(bench)
    whole_night(bench, "wrong")
    assert row(bench, "as_of", "wrong") == (wrong,)
    with psycopg.connect(installed.platform) as platform:
        platform.execute(
            "update issues set created = %s, last_updated_at = %s where id = %s", [nights.ago(2)] * 2 + [issue]
        )
    prepare(bench, "corrected")
    run = runs.find(bench.databases, bench.slug, "corrected")
    with bench.databases.primary() as primary, primary.as_client(bench.client_id) as tx:
        assert run.as_of == nights.ago(2) and runs.is_binding(tx, run)
    # What was of the wrong moment cannot be repeated: it would be wrong again.
    with pytest.raises(ConfigurationError, match=f"as_of {wrong} lies after the last moment of the client's data"):
        prepare(bench, "wrong")


def test_the_clock_of_loaded_data_is_its_last_moment(installed: Installation, databases, client_ids):
    bench = nights.bench(installed, databases, next(client_ids), clock="data")
    desk = nights.desk(installed, bench.client_id)
    desk.insert("issues", [desk.issue(created=nights.ago(9)), desk.issue(created=nights.ago(3))])
    prepare(bench)
    assert row(bench, "as_of") == (nights.ago(3),)


def test_it_sees_what_was_committed_before_it_began(bench: Bench, installed: Installation):
    """The heartbeat comes behind the rows, so the run counts them in without anybody waiting for them."""
    desk = nights.desk(installed, bench.client_id)
    let_something_serve(bench)
    installed.catch_up()
    whole_night(bench, "first")
    for number in range(5):
        desk.insert("issues", [desk.issue()])
        assert prepare(bench, f"night {number}")["reason"] == "rows, settings or code have changed"
        reporting.report(bench.databases, bench.slug, f"night {number}", {})


@contextmanager
def subscription_disabled(installed: Installation) -> Iterator[None]:
    change = sql.SQL("alter subscription {} {}")
    with psycopg.connect(installed.replica, autocommit=True) as connection:
        connection.execute(change.format(sql.Identifier(SUBSCRIPTION), sql.SQL("disable")))
        try:
            yield
        finally:
            connection.execute(change.format(sql.Identifier(SUBSCRIPTION), sql.SQL("enable")))
    installed.catch_up()


def test_a_replica_that_is_behind_is_waited_for(bench: Bench, installed: Installation):
    with subscription_disabled(installed):
        found = prepare(bench, patience=0.1)
        assert found == {
            "state": "waiting",
            "reason": "the replica foresight_replica is behind",
            "run_id": None,
            "as_of": None,
        }
        assert prepare(bench, patience=0.1, waited=1700, at_most=1800)["state"] == "waiting"
        assert bench.rows("1", "nightly_runs") == []
        with pytest.raises(ReplicaBehind, match=f"client '{bench.slug}': its replica has not shown .* for 1800 s"):
            prepare(bench, patience=0.1, waited=1800, at_most=1800)
        with pytest.raises(RunNotPrepared, match="run night is missing"):
            nightly.train(bench.databases, bench.slug, "night")
    assert prepare(bench)["state"] == "prepared"


def test_a_replica_that_is_down_is_an_error_that_passes(bench: Bench, installed: Installation):
    nowhere = f"host=127.0.0.1 port={free_port()} connect_timeout=5 dbname=x user=x"
    away = Databases(lambda conn_id: psycopg.connect(installed.app(PRIMARY) if conn_id == PRIMARY else nowhere))
    with pytest.raises(psycopg.OperationalError):
        prepare(bench, databases=away)
    assert bench.rows("1", "nightly_runs") == []
    assert prepare(bench)["state"] == "prepared"


def test_a_replica_that_goes_away_in_the_middle_is_too(bench: Bench, installed: Installation):
    connections: list[psycopg.Connection] = []

    def after() -> None:
        if not connections[0].info.transaction_status:
            return
        nights.terminate(installed.replica, connections[0].info.backend_pid)
        connections[0].after = lambda: None

    def connect() -> psycopg.Connection:
        connections.append(nights.counted(installed.app(REPLICA), after))
        return connections[0]

    away = Databases(lambda conn_id: connect() if conn_id == REPLICA else psycopg.connect(installed.app(conn_id)))
    with pytest.raises(psycopg.OperationalError):
        prepare(bench, databases=away)
    assert prepare(bench)["state"] == "prepared"


def test_one_run_of_a_client_at_a_time(bench: Bench):
    with bench.databases.locked(bench.client_id):
        with pytest.raises(ClientBusy, match=f"client {bench.client_id}: another run holds its lock"):
            prepare(bench)
    assert prepare(bench)["state"] == "prepared"


def test_other_clients_do_not_wait(bench: Bench, installed: Installation, databases, client_ids):
    other = nights.bench(installed, databases, next(client_ids))
    with bench.databases.locked(other.client_id):
        assert prepare(bench)["state"] == "prepared"


def test_a_night_without_news_is_one_row(bench: Bench):
    let_something_serve(bench)
    assert whole_night(bench, "first") == "prepared"
    found = prepare(bench, "second")
    assert (found["state"], found["reason"]) == ("unchanged", "nothing new since the last night")
    state, summary, finished = row(bench, "state, summary, finished_at", "second")
    assert state == "unchanged" and finished is not None
    assert summary == f"Client {bench.client_id}: nothing new since the last night; every model serves as before."
    assert prepare(bench, "third")["state"] == "unchanged"
    assert len(bench.rows("1", "nightly_runs")) == 3
    with pytest.raises(RunNotPrepared, match="run second is unchanged"):
        nightly.enrich(bench.databases, bench.slug, "second")
    # Killed before its row was closed, it comes to the same.
    assert prepare(bench, "third")["state"] == "unchanged"


def test_a_run_that_is_cleared_is_repeated_from_the_start(bench: Bench):
    """Not compared with itself, with its own moment, and with nothing of the first try in its report."""
    let_something_serve(bench)
    whole_night(bench, "first")
    with bench.databases.primary() as primary:
        run = runs.find(bench.databases, bench.slug, "first")
        reporting.note_phase(primary, run.client, "first", "enrich", {"written": {"complexity": 7}})
    reporting.report(bench.databases, bench.slug, "first", {})
    assert row(bench, "state, predictions_written", "first") == ("success", {"complexity": 7})
    again = prepare(bench, "first")
    assert (again["state"], again["reason"], again["as_of"]) == (
        "prepared",
        "this run is repeated",
        run.as_of.isoformat(),
    )
    columns = "phases, predictions_written, summary, failed_tasks, finished_at"
    assert row(bench, columns, "first") == ({}, {}, None, [], None)
    reporting.report(bench.databases, bench.slug, "first", {})
    assert row(bench, "state, predictions_written", "first") == ("success", {})
    # One without news stays so, and is no news for the next.
    assert prepare(bench, "second")["state"] == "unchanged"
    assert prepare(bench, "second")["state"] == "unchanged"


@pytest.mark.parametrize("request_", [{"force_retrain": True}, {"models": ["rework"]}, {"dry_run": True}])
def test_what_is_asked_for_is_done_without_news_too(bench: Bench, request_):
    let_something_serve(bench)
    whole_night(bench, "first")
    assert prepare(bench, "second", **request_)["reason"] == "asked for"
    # Nor does it count as the last night that looked at everything, unless it did.
    reporting.report(bench.databases, bench.slug, "second", {})
    assert prepare(bench, "third")["state"] == "unchanged"


def test_news_are_named(bench: Bench, installed: Installation):
    assert whole_night(bench, "1") == "prepared"
    assert prepare(bench, "2")["reason"] == "a model without a champion"
    reporting.report(bench.databases, bench.slug, "2", {"train": "failed"})
    let_something_serve(bench)
    assert prepare(bench, "3")["reason"] == "the last night is failed"
    assert prepare(bench, "4")["reason"] == "the last night is failed"
    reporting.report(bench.databases, bench.slug, "4", {})
    with psycopg.connect(installed.primary) as connection:
        connection.execute(
            "update ml.clients set ml_predictions_enabled = false where client_id = %s", [bench.client_id]
        )
    assert prepare(bench, "5")["reason"] == "rows, settings or code have changed"
    reporting.report(bench.databases, bench.slug, "5", {})
    [fifth] = row(bench, "run_id", "5")
    bench.serve(nights.Model(fifth, 999_999_999))
    assert prepare(bench, "6")["reason"] == "a champion's model is missing on the replica"


def test_what_a_crash_left_is_ended(bench: Bench):
    crashed = bench.night(state="running")
    half = bench.night(state="prepared")
    done = bench.night(state="success")
    running = bench.trained(crashed, None, status="running")
    trained = bench.trained(half, None, status="too_little_data")
    prepare(bench)
    own = runs.find(bench.databases, bench.slug, "night")
    mine = bench.trained(own, None, status="running")
    states = dict(bench.rows("run_id, state", "nightly_runs"))
    assert states == {
        crashed.run_id: "failed",
        half.run_id: "failed",
        done.run_id: "success",
        own.run_id: "prepared",
    }
    for run in (crashed, half):
        [(summary, finished)] = bench.rows(
            "summary, finished_at", "nightly_runs", "and run_id = %(run_id)s", run_id=run.run_id
        )
        assert summary == "The run was cut off before its report." and finished is not None
    assert dict(bench.rows("model_uuid, status", "training_runs")) == {
        running: "interrupted",
        trained: "too_little_data",
        mine: "running",
    }
    # A repeated task of this run goes on with its own.
    prepare(bench)
    assert dict(bench.rows("model_uuid, status", "training_runs"))[mine] == "running"


def test_other_clients_crashes_are_their_own(bench: Bench, installed: Installation, databases, client_ids):
    other = nights.bench(installed, databases, next(client_ids))
    crashed = other.night(state="running")
    prepare(bench)
    assert other.rows("state", "nightly_runs", "and run_id = %(id)s", id=crashed.run_id) == [("running",)]


def test_training_tables_of_old_nights_are_dropped(bench: Bench):
    old, last_but_one, last = (bench.night(state="success") for _ in range(3))
    tables = {run.run_id: f"complexity_{run.run_id.hex[:8]}" for run in (old, last_but_one, last)}
    with bench.databases.session(REPLICA) as replica, replica.as_client(bench.client_id) as tx:
        for name in [*tables.values(), "bench_0123abcd", "complexity_notes"]:
            table, view = sql.Identifier(bench.schema, name), sql.Identifier(bench.schema, f"{name}_ordered")
            tx.connection.execute(sql.SQL("create table {} (label float8)").format(table))
            tx.connection.execute(sql.SQL("create view {} as select * from {}").format(view, table))
    # A night without news does not push a table out.
    bench.night(state="unchanged")
    prepare(bench)
    kept = {tables[last_but_one.run_id], tables[last.run_id], "bench_0123abcd", "complexity_notes"}
    found = bench.installed.rows(
        bench.installed.replica,
        "select relname from pg_class where relnamespace = %(s)s::regnamespace"
        " and relkind in ('r', 'v') and relname <> 'quarantine'",
        {"s": bench.schema},
    )
    assert {name for (name,) in found} == kept | {f"{name}_ordered" for name in kept}


def test_old_models_are_deleted_but_never_the_champions(bench: Bench):
    bench.build()
    champion, *others = (bench.fit("good", bench.night(state="success")) for _ in range(5))
    bench.serve(champion)
    assert models(bench) == [champion.model_id, *(other.model_id for other in others)]
    prepare(bench)
    assert models(bench) == [champion.model_id, *(other.model_id for other in others[1:])]
    # What serves is what pgml shows as deployed.
    assert bench.deployed() == champion.model_id
    bench.serve(others[-1])
    prepare(bench, "again")
    assert bench.deployed() == others[-1].model_id
    # What served before may be gone back to, until three others have served.
    assert models(bench) == [champion.model_id, *(other.model_id for other in others[1:])]
    # Two that take turns are two, not four.
    for other in (others[-1], others[1]) * 2:
        bench.serve(other)
        prepare(bench, f"turn of {bench.champion().version}")
    assert models(bench) == [champion.model_id, *(other.model_id for other in others[1:])]
    bench.serve(others[2])
    prepare(bench, "and again")
    assert models(bench) == [other.model_id for other in others[1:]]


def models(bench: Bench) -> list[int]:
    found = bench.installed.rows(
        bench.installed.replica,
        "select m.id from pgml.models as m join pgml.projects as p on p.id = m.project_id where p.name = %(project)s"
        " order by m.id",
        {"project": bench.project},
    )
    return [model_id for (model_id,) in found]


def test_a_missing_model_is_not_deployed_and_stops_nothing(bench: Bench):
    bench.serve(nights.Model(bench.night(state="success").run_id, 999_999_999))
    assert prepare(bench)["state"] == "prepared"
    assert bench.deployed() is None


def test_clients_without_a_night_are_refused_by_name(bench: Bench, installed: Installation):
    with pytest.raises(UnknownClient, match="has no client 'nobody': there are client_"):
        nightly.prepare(bench.databases, "nobody", "night", {})
    with psycopg.connect(installed.primary) as connection:
        connection.execute("update ml.clients set active = false where client_id = %s", [bench.client_id])
    with pytest.raises(UnknownClient, match=f"client '{bench.slug}' is not active"):
        prepare(bench)
