"""How a run goes: what is skipped, deferred, repeated, and when it fails. The phases themselves are stand-ins here."""

from __future__ import annotations

import pytest

from include.foresight import nightly, runtime
from include.foresight.errors import ClientBusy, DataBlocked, ModelsFailed, ReplicaBehind, RunNotPrepared

# Of the in-process API, which Airflow makes with Starlette's test client.
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")

PHASES = ["prepare", "validate", "train", "gate", "enrich", "watch", "report"]


@pytest.fixture
def phases(monkeypatch, metadata_database):
    """What each phase was called with; `does[phase]` replaces what it does."""
    calls: dict[str, list] = {}
    does: dict = {}

    def stand_in(phase):
        def body(databases, *arguments, **options):
            calls.setdefault(phase, []).append((arguments, options))
            return does[phase](len(calls[phase])) if phase in does else {"state": "prepared"}

        return body

    monkeypatch.setattr(nightly, "prepare", stand_in("prepare"))
    monkeypatch.setattr(nightly, "report", stand_in("report"))
    monkeypatch.setattr(nightly, "PHASES", {phase: stand_in(phase) for phase in PHASES[1:-1]})
    monkeypatch.setattr(runtime, "ASK_AGAIN_AFTER", runtime.timedelta(seconds=0))
    return calls, does


def fails(error):
    def body(_):
        raise error

    return body


@pytest.fixture
def run(load):
    def runs(**conf):
        dag = load().dags["nightly__acme"]
        for task in dag.tasks:
            task.retry_delay = runtime.timedelta(seconds=0)
        dag_run = dag.test(run_conf=conf or None)
        return dag_run.state, {ti.task_id: ti.state for ti in dag_run.get_task_instances()}

    return runs


def test_a_good_night(phases, run):
    calls, _ = phases
    assert run() == ("success", dict.fromkeys(PHASES, "success"))
    (slug, _, request), options = calls["prepare"][0]
    assert slug == "acme"
    assert request == {
        "models": None,
        "force_retrain": False,
        "dry_run": False,
        "as_of": None,
        "reason": None,
        "trigger": "manual",
    }
    assert options["waited"] == 0
    (_, _, states), _ = calls["report"][0]
    assert states == dict.fromkeys(PHASES[:-1], "success")


def test_a_night_without_news_is_one_task(phases, run):
    calls, does = phases
    does["prepare"] = lambda _: {"state": "unchanged"}
    assert run() == ("success", {"prepare": "success"} | dict.fromkeys(PHASES[1:], "skipped"))
    assert set(calls) == {"prepare"}


def test_a_replica_that_is_behind_is_asked_again_later(phases, run):
    calls, does = phases
    does["prepare"] = lambda count: {"state": "waiting" if count < 3 else "prepared"}
    state, tasks = run(models=["rework"], force_retrain=True)
    assert (state, tasks["train"]) == ("success", "success")
    assert len(calls["prepare"]) == 3
    requests = [arguments[2] for arguments, _ in calls["prepare"]]
    assert requests[0] == requests[2] and requests[0]["models"] == ["rework"] and requests[0]["force_retrain"] is True


def test_failed_models_do_not_stop_the_good_ones_but_fail_the_run(phases, run):
    calls, does = phases
    does["train"] = fails(ModelsFailed("client 'acme': rework: no positive label"))
    state, tasks = run()
    assert state == "failed"
    assert tasks == dict.fromkeys(PHASES, "success") | {"train": "failed", "report": "failed"}
    assert len(calls["train"]) == 1, "what cannot pass is not tried again"
    assert calls["report"][0][0][2]["train"] == "failed"


def test_blocked_data_train_nothing_and_what_is_served_goes_on(phases, run):
    calls, does = phases
    does["validate"] = fails(DataBlocked("client 'acme': no rows"))
    state, tasks = run()
    assert state == "failed"
    assert (tasks["validate"], tasks["train"], tasks["enrich"]) == ("failed", "upstream_failed", "success")
    assert "train" not in calls


def test_without_preparation_the_rest_skips_itself_and_is_reported(phases, run):
    calls, does = phases
    does["prepare"] = fails(RunNotPrepared("never"))
    for phase in ("gate", "enrich", "watch"):
        does[phase] = fails(RunNotPrepared("not prepared"))
    state, tasks = run()
    assert state == "failed"
    assert [tasks[phase] for phase in PHASES] == [
        "failed",
        "upstream_failed",
        "upstream_failed",
        "skipped",
        "skipped",
        "skipped",
        "failed",
    ]
    assert len(calls["report"]) == 1


def test_callback_and_listener_tell_of_the_same_failed_run(phases, run, monkeypatch):
    from foresight_api import listener

    told, threads = [], []
    in_background = listener.in_background
    monkeypatch.setattr(listener, "in_background", lambda tell: threads.append(in_background(tell)))
    monkeypatch.setattr(runtime, "run_failed", lambda *what: told.append(what))
    phases[1]["train"] = fails(ModelsFailed("x"))
    assert run()[0] == "failed"
    assert len(threads) == 1
    threads[0].join()
    assert len(told) == 2
    assert told[0][:2] == told[1][:2]
    assert told[0][0] == "nightly__acme"


def decision(error):
    return runtime.RetryWhatCanPass().evaluate(error, 1, 2).action.value


def test_what_can_pass_is_tried_again_and_what_cannot_is_not():
    import psycopg
    from airflow.sdk.exceptions import AirflowTaskTimeout

    assert decision(ClientBusy()) == decision(ReplicaBehind()) == "retry"
    assert decision(psycopg.OperationalError()) == decision(psycopg.errors.AdminShutdown()) == "retry"
    assert decision(psycopg.errors.SerializationFailure()) == decision(psycopg.InterfaceError()) == "retry"
    assert decision(ModelsFailed()) == decision(DataBlocked()) == "fail"
    assert decision(psycopg.errors.InsufficientPrivilege()) == decision(psycopg.errors.UndefinedTable()) == "fail"
    assert decision(psycopg.errors.QueryCanceled()) == decision(AirflowTaskTimeout()) == "fail"
    assert decision(KeyError()) == "default"


def test_a_watch_that_asks_for_a_training_leaves_an_event(phases, run):
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import func, select

    def events() -> int:
        with create_session() as session:
            asked = select(func.count(AssetEvent.id)).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            return session.scalar(asked.where(AssetModel.name == runtime.RETRAINING_ASKED.name))

    _, does = phases
    before = events()
    assert run()[0] == "success" and events() == before
    does["watch"] = lambda _: {"rework": {"model": "rework", "retrain": "drift in size"}}
    assert run()[0] == "success" and events() == before + 1
