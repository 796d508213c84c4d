"""Nights under a real scheduler, on real servers: what stands on both sides afterwards, and what happens when something
breaks. In this order: later tests build on what earlier ones have left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from uuid import uuid4

import psutil
import psycopg
import pytest
from psycopg import sql

from launcher import airflow, nightly, report
from launcher.system import CHECKOUT
from tests.e2e.night_shift import ACME, BROKEN, BROTHERS, LEAVER, NEWCOMER, SLUGS, System
from tests.support import browser

PHASES = ("prepare", "validate", "train", "gate", "enrich", "watch", "report")
MODELS = {"complexity", "rework", "trajectory"}
WITHIN = 120.0

# Together they have one machine to themselves for about a minute; the first waits for the whole installation.
pytestmark = pytest.mark.timeout(600)


def test_two_clients_nights_go_through_the_scheduler(first_night):
    _, night = first_night
    assert night.runs == dict.fromkeys(SLUGS, "success"), night
    assert night.tasks == {slug: dict.fromkeys(PHASES, "success") for slug in SLUGS}


def test_each_run_has_its_row_and_its_report(system, first_night):
    run_id, _ = first_night
    rows = system.rows("primary", "select * from ml.nightly_runs join ml.clients using (client_id) order by slug")
    assert [(row["slug"], row["state"], row["dag_run_id"], row["failed_tasks"]) for row in rows] == [
        (slug, "success", run_id, []) for slug in SLUGS
    ]
    for row in rows:
        assert set(row["phases"]) == set(PHASES) - {"prepare", "report"}
        assert row["summary"].startswith(row["name"])
        assert all(model in row["summary"] for model in MODELS)
    totals = report.totals(report.read(system.instance, SLUGS))
    assert (totals["clients"], totals["models"], totals["failed_tasks"]) == (2, 6, 0)
    assert totals["trained"] >= 3, "at least the larger client has the rows for its three models"


def test_every_model_was_looked_at_and_every_trained_one_was_judged(system, first_night):
    trainings = system.rows("primary", "select * from ml.training_runs")
    assert {(row["client_id"], row["model"]) for row in trainings} == {
        (system.client_ids[slug], model) for slug in SLUGS for model in MODELS
    }
    assert {row["status"] for row in trainings} <= {"trained", "too_little_data"}
    trained = {row["model_uuid"]: row for row in trainings if row["status"] == "trained"}
    verdicts = system.rows("primary", "select * from ml.gate_verdicts")
    assert {row["model_uuid"] for row in verdicts} == set(trained)
    stored = {
        row["id"]: row
        for row in system.rows(
            "replica", "select m.id, p.name from pgml.models as m join pgml.projects as p on p.id = m.project_id"
        )
    }
    assert {row["pgml_model_id"] for row in trained.values()} == set(stored)
    for row in trained.values():
        assert stored[row["pgml_model_id"]]["name"] == row["model_name"]
        table = sql.Identifier(f"ml_client_{row['client_id']}", row["training_table"])
        with psycopg.connect(system.conninfo("replica")) as connection:
            query = "select count(*) filter (where part in ('train', 'test')), array_agg(distinct client_id) from {}"
            found = connection.execute(sql.SQL(query).format(table)).fetchone()
        assert found == (row["rows_train"] + row["rows_test"], [row["client_id"]])


CHAMPIONS = "select * from ml.champions order by client_id, model"


def test_what_serves_is_the_same_on_both_sides(system, first_night):
    champions = system.rows("primary", CHAMPIONS)
    assert {(row["client_id"], row["model"]) for row in champions} == {
        (system.client_ids[slug], model) for slug in SLUGS for model in MODELS
    }
    system.wait(lambda: system.rows("replica", CHAMPIONS) == champions, "the replica's copy is the same", 10)
    promoted = set(system.column("primary", "select model_uuid from ml.gate_verdicts where decision = 'promote'"))
    assert {row["model_uuid"] for row in champions if row["model_uuid"]} == promoted
    assert {row["rung"] for row in champions if row["model_uuid"] is None} <= {"recent"}
    ledger = system.rows("primary", "select client_id, model, version, to_rung from ml.promotion_ledger")
    now = [
        {"client_id": row["client_id"], "model": row["model"], "version": 1, "to_rung": row["rung"]}
        for row in champions
    ]
    assert sorted(ledger, key=str) == sorted(now, key=str)


def test_the_pages_stand_in_airflows_own(system, first_night):
    """Airflow's cookie opens them; its administrator looks after the fleet."""
    address = airflow.base_url(system.instance)
    token = system.api.client.headers["Authorization"].split()[1]
    with browser.chromium() as chromium:
        context = chromium.new_context(viewport=browser.SCREEN)
        page = context.new_page()
        assert page.goto(f"{address}/api/ml/pages").status == 401
        context.add_cookies([{"name": "_token", "value": token, "url": address}])
        page.goto(address)
        page.get_by_role("link", name="Foresight").click()
        frame = page.frame_locator("iframe")
        frame.get_by_role("heading", name="Models", exact=True).wait_for()
        assert frame.locator("#fleet tbody tr").count() == len(MODELS) * len(system.client_ids)
        frame.locator(f"a[href$='/{ACME}/complexity']").click()
        frame.locator("#errors-plot .main-svg").first.wait_for()


PREDICTIONS = """
    select client_id, model, issue_id as entity_id, prediction_uuid, value from ml.issue_predictions
    union all
    select client_id, model, pull_request_id, prediction_uuid, value from ml.pull_request_predictions
"""


def test_predictions_stand_beside_the_platforms_rows_and_in_the_log(system, first_night):
    found = system.rows("primary", PREDICTIONS)
    logged = system.rows(
        "primary",
        "select client_id, model, entity_id, prediction_uuid, prediction_value as value from ml.prediction_log"
        " where source = 'nightly'",
    )
    assert sorted(found, key=str) == sorted(logged, key=str)
    written = {
        (row["client_id"], model): count
        for row in system.rows("primary", "select client_id, predictions_written from ml.nightly_runs")
        for model, count in row["predictions_written"].items()
    }
    counted: dict = dict.fromkeys(written, 0)
    for row in found:
        counted[row["client_id"], row["model"]] += 1
    assert counted == written
    assert all(counted[system.client_ids[ACME], model] for model in MODELS)
    foreign = (
        "select count(*) from {} as p left join {} as o on o.id = p.{} where o.client_id <> p.client_id or o.id is null"
    )
    for entity in ("issue", "pull_request"):
        mine, theirs = sql.Identifier("ml", f"{entity}_predictions"), sql.Identifier("public", f"{entity}s")
        assert system.column("primary", sql.SQL(foreign).format(mine, theirs, sql.Identifier(f"{entity}_id"))) == [0]


STATE = {
    "trainings": "select model_uuid, status, finished_at from ml.training_runs order by model_uuid",
    "verdicts": "select verdict_id from ml.gate_verdicts order by verdict_id",
    "champions": "select client_id, model, version from ml.champions order by client_id, model",
    "log": "select count(*) from ml.prediction_log",
}


def state_of(system) -> dict:
    return {name: system.rows("primary", query) for name, query in STATE.items()}


def test_a_night_without_news_is_one_task(system, first_night):
    before = state_of(system)
    run_id, night = system.night(*SLUGS)
    assert night.runs == dict.fromkeys(SLUGS, "success")
    for slug in SLUGS:
        assert night.tasks[slug] == {"prepare": "success"} | dict.fromkeys(PHASES[1:], "skipped")
    assert state_of(system) == before
    states = system.column(
        "primary", "select state from ml.nightly_runs where dag_run_id = %(run_id)s", {"run_id": run_id}
    )
    assert states == ["unchanged", "unchanged"]


def test_what_a_watch_asks_for_is_a_run_with_its_reason(system, first_night):
    """The request as a watch writes it, and its event (that a watch leaves one is tests/dags/test_retraining.py's); the
    DAG `retraining` begins by itself and starts the client's nightly, which trains this model."""
    [(client_id, run_id)] = [
        (row["client_id"], row["run_id"])
        for row in system.rows(
            "primary",
            "select client_id, run_id from ml.nightly_runs where client_id = %(client_id)s order by started_at limit 1",
            {"client_id": system.client_ids[ACME]},
        )
    ]
    request_id = uuid4()
    with system.superuser("primary") as primary:
        primary.execute(
            "insert into ml.retrain_requests (request_id, client_id, model, run_id, as_of, reason, error_before,"
            " error_recent, luck) values (%s, %s, 'complexity', %s, now(), 'drift in age', 1, 2, 0.001)",
            [request_id, client_id, run_id],
        )
    system.event("foresight_retraining")
    started = f"retraining__{request_id}"
    system.wait(lambda: system.api.runs(started), "the run begins")
    system.wait(lambda: system.api.runs(started).get(nightly.dag_id(ACME)) in nightly.ENDED, "the run ends")
    assert system.api.runs(started) == {nightly.dag_id(ACME): "success"}
    query = "select request, state from ml.nightly_runs where dag_run_id = %(run_id)s"
    [row] = system.rows("primary", query, {"run_id": started})
    assert (row["state"], row["request"]["reason"], row["request"]["models"]) == (
        "success",
        "complexity: drift in age",
        ["complexity"],
    )
    # It was taken: nobody starts it again.
    assert system.fleet_run("retraining") == {"choose": "success", "start": "skipped"}


def test_one_clients_failure_is_its_own_and_is_told_once(system, first_night):
    schema = f"ml_client_{system.client_ids[BROTHERS]}"
    rename = sql.SQL("alter table {} rename to {}")
    with system.superuser("replica") as replica:
        replica.execute(rename.format(sql.Identifier(schema, "quarantine"), sql.Identifier("put_away")))
    try:
        run_id, night = system.night(*SLUGS, force=True)
    finally:
        with system.superuser("replica") as replica:
            replica.execute(rename.format(sql.Identifier(schema, "put_away"), sql.Identifier("quarantine")))
    assert night.runs == {ACME: "success", BROTHERS: "failed"}, night
    assert night.tasks[ACME] == dict.fromkeys(PHASES, "success")
    assert night.tasks[BROTHERS]["validate"] == "failed"
    assert night.tasks[BROTHERS]["train"] == "upstream_failed"
    assert night.tasks[BROTHERS]["report"] == "failed"
    [row] = system.rows(
        "primary",
        "select state, failed_tasks from ml.nightly_runs where dag_run_id = %(run_id)s and client_id = %(client_id)s",
        {"run_id": run_id, "client_id": system.client_ids[BROTHERS]},
    )
    assert row["state"] == "failed" and "validate" in row["failed_tasks"]
    system.wait(lambda: system.receiver.of(BROTHERS, "run_failed"), "the webhook is told", 30)
    time.sleep(3)  # the other channels notice the same failure
    [message] = system.receiver.of(BROTHERS, "run_failed")
    assert run_id in message["cause"] and "validate" in message["body"]
    assert "/dags/nightly__obrien_bratia/runs/" in message["body"]
    assert system.alerts(BROTHERS) == [message["cause"]]
    assert system.alerts(ACME) == [] and not system.receiver.of(ACME, "")


def test_a_new_row_of_the_registry_is_a_dag_within_two_minutes(system, first_night):
    dag_id = nightly.dag_id(NEWCOMER)
    system.wait(lambda: dag_id in system.sightings.first, f"{dag_id} is on offer", WITHIN)
    seconds = system.sightings.first[dag_id] - system.registered[NEWCOMER]
    print(f"a new client was a DAG after {seconds:.0f} s")
    assert seconds < WITHIN
    assert system.api.get(f"/dags/{dag_id}")["is_paused"] is False


def test_a_broken_entry_hurts_no_other_and_is_seen(system, first_night):
    """The newcomer is there, so the entry that came with it has been read."""
    on_offer = {dag["dag_id"] for dag in system.api.get("/dags", limit=100)["dags"]}
    nightlies = {dag_id for dag_id in on_offer if dag_id.startswith("nightly__")}
    assert nightlies == {nightly.dag_id(slug) for slug in (*SLUGS, NEWCOMER)}
    assert {"sync_clients", "health"} <= on_offer
    assert system.api.get("/importErrors")["import_errors"] == []
    well = dict.fromkeys(("runs", "replication", "models"), "success")
    assert system.fleet_run("health") == {"registry": "failed"} | well
    # The failed DAG itself is no alert on top.
    assert [cause.rpartition(":")[0] for cause in system.alerts(None)] == [f"broken_entry:{BROKEN}"]
    [message] = system.receiver.of(None, "")
    assert message["cause"].startswith(f"broken_entry:{BROKEN}:") and "61 25" in message["body"]
    system.set_active(BROKEN, False)


def test_airflows_own_metrics_have_the_models(system, first_night):
    """The DAG health, which has run, passes them on."""
    [row] = system.rows(
        "primary",
        "select status from ml.model_health where client_id = %(client_id)s and model = 'complexity'"
        " order by checked_at desc limit 1",
        {"client_id": system.client_ids[ACME]},
    )
    model = {"client": ACME, "model": "complexity"}
    state = frozenset((model | {"foresight_model_status": row["status"]}).items())
    system.wait(lambda: ("airflow.foresight.model_status", state) in system.receiver.measured, "they come", 30)
    assert system.receiver.measured["airflow.foresight.model_status", state] == 1
    error = frozenset((model | {"of": "simple"}).items())
    assert system.receiver.measured["airflow.foresight.model_error", error] > 0


@pytest.mark.long
def test_a_task_that_is_killed_leaves_no_query_and_is_told_and_the_next_night_heals_it(system, first_night):
    run_id = system.trigger(ACME, force=True)
    with system.superuser("metadata") as metadata:
        # Its first try is its last one.
        query = "update task_instance set max_tries = 0 where run_id = %(run_id)s and task_id = 'train'"
        assert metadata.execute(query, {"run_id": run_id}).rowcount == 1
    training = (
        "select pid from pg_stat_activity where datname = current_database() and query like '%%pgml.train%%'"
        " and wait_event_type = 'Lock'"
    )
    with psycopg.connect(system.conninfo("replica")) as blocker:
        # A training that never ends: it waits to write down what it has read.
        blocker.execute("lock table pgml.snapshots in exclusive mode")
        system.wait(lambda: system.column("replica", training), "the training waits")
        task = psutil.Process(system.task(ACME, run_id, "train")["pid"])
        ours = airflow.service(system.instance, "scheduler").processes()
        assert task in ours, "no stranger is killed"
        os.kill(task.pid, signal.SIGKILL)
        began = time.monotonic()
        system.wait(lambda: not system.column("replica", training), "the query is gone", 10)
        print(f"the query was gone {time.monotonic() - began:.1f} s after its task was killed")
    night = system.follow(run_id, ACME)
    assert night.runs == {ACME: "failed"}
    assert {task for task, state in night.tasks[ACME].items() if state == "failed"} == {"train", "report"}
    system.wait(lambda: system.receiver.of(ACME, "run_failed"), "the webhook is told", 30)
    time.sleep(3)
    [message] = system.receiver.of(ACME, "run_failed")
    assert run_id in message["cause"] and "train" in message["body"]

    statuses = (
        "select t.status from ml.training_runs as t join ml.nightly_runs as r using (run_id)"
        " where r.dag_run_id = %(run_id)s order by 1"
    )
    assert system.column("primary", statuses, {"run_id": run_id}) == ["running"]
    healing, night = system.night(ACME)
    assert night.runs == {ACME: "success"} and night.tasks[ACME]["train"] == "success"
    assert system.column("primary", statuses, {"run_id": run_id}) == ["interrupted"]
    assert len(system.column("primary", statuses, {"run_id": healing})) == len(MODELS)


@pytest.mark.long
def test_parts_of_airflow_that_are_killed_are_told_from_outside_once(system, first_night):
    """Nothing in Airflow can tell of them. While they are dead the failed part of nobody else is told of."""
    parts = {"scheduler": "scheduler", "triggerer": "triggerer", "dag-processor": "dag processor"}
    command = [sys.executable, "-m", "include.foresight.watchdog", "--every", "1"]
    watchdog = subprocess.Popen(command, cwd=CHECKOUT, env=airflow.environment(system.instance))
    try:
        began = time.monotonic()
        for name in parts:
            killed(system, name)
        for name in parts.values():
            system.wait(lambda name=name: system.receiver.of(None, f"component:{name}:"), f"{name} is told", 90)
            print(f"the dead {name} was told after {time.monotonic() - began:.0f} s")
        # Now nobody is left to say how they are.
        killed(system, "api-server")
        system.wait(lambda: system.receiver.of(None, "component:API server:"), "the API server is told", 30)
        time.sleep(5)
        told = [one["cause"].split(":")[1] for one in system.receiver.of(None, "component:")]
        assert sorted(told) == sorted([*parts.values(), "API server"])
        # Whoever watches may die as well: the next one does not tell again.
        watchdog.kill()
        watchdog.wait()
        subprocess.run(
            [*command[:3], "--once"], cwd=CHECKOUT, env=airflow.environment(system.instance), check=True, timeout=60
        )
        assert len(system.receiver.of(None, "component:")) == len(told)
    finally:
        watchdog.kill()
        watchdog.wait()
        airflow.start(system.instance)
        airflow.wait_until_healthy(system.instance)
    assert system.night(ACME, force=True)[1].runs == {ACME: "success"}


def killed(system: System, name: str) -> None:
    for process in airflow.service(system.instance, name).processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.long
def test_a_replica_that_is_behind_is_waited_for_without_a_slot(system, first_night):
    with system.superuser("replica") as replica:
        replica.execute("alter subscription foresight disable")
        try:
            run_id = system.trigger(ACME)
            system.wait_for_task(ACME, run_id, "prepare", "deferred")
            assert system.api.runs(run_id)[nightly.dag_id(ACME)] == "running"
        finally:
            replica.execute("alter subscription foresight enable")
    night = system.follow(run_id, ACME)
    assert night.runs == {ACME: "success"}
    assert system.task(ACME, run_id, "prepare")["try_number"] == 1, "to wait is not to fail"


@pytest.mark.long
def test_a_client_that_goes_away_goes_away_and_comes_back(system, first_night):
    dag_id = nightly.dag_id(LEAVER)
    system.register(LEAVER)
    system.wait(lambda: dag_id in system.sightings.first, f"{dag_id} is on offer", WITHIN)
    print(f"a new client was a DAG after {system.sightings.first[dag_id] - system.registered[LEAVER]:.0f} s")
    began = time.monotonic()
    system.set_active(LEAVER, False)
    system.wait(lambda: system.sightings.gone(dag_id), f"{dag_id} is gone", 240)
    seconds = system.sightings.last[dag_id] - began
    print(f"a client that left was no DAG any more after {seconds:.0f} s")
    assert seconds < WITHIN
    assert {nightly.dag_id(slug) for slug in (*SLUGS, NEWCOMER)} <= {
        dag_id for dag_id in system.sightings.last if not system.sightings.gone(dag_id)
    }
    system.set_active(LEAVER, True)
    system.wait(lambda: not system.sightings.gone(dag_id), f"{dag_id} is back", WITHIN)
