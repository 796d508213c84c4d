"""Trainings that the watch asks for: the event, what is started for it, and nothing when nothing is asked for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.utils.types import DagRunType

from include.foresight import nightly, retraining, runtime
from include.foresight.retraining import Wanted

# Of the in-process API, which Airflow makes with Starlette's test client.
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")

ASKED = Wanted("acme", "retraining__1", ("rework",), "rework: drift in size")


class Events(dict):
    """As a task gets them: by alias what was added."""

    def __missing__(self, alias):
        self[alias] = Added()
        return self[alias]


class Added(list):
    def add(self, asset, extra=None):
        self.append((asset.name, extra))


@pytest.mark.parametrize(("asks", "events"), [(None, []), ("drift in size", [("foresight_retraining", None)])])
def test_a_watch_that_asks_adds_an_event_and_no_client_to_it(monkeypatch, asks, events):
    found = {"rework": {"model": "rework", "retrain": asks}, "complexity": {"model": "complexity", "retrain": None}}
    monkeypatch.setattr(nightly, "PHASES", {"watch": lambda databases, slug, run_id: found})
    given = Events()
    assert runtime.watch("acme", "a night", given) == found
    assert given.get(runtime.MAY_ASK, []) == events


def test_the_event_starts_the_dag_and_so_does_the_morning(bag):
    schedule = bag.dags["retraining"].schedule
    assert [asset.name for asset in schedule.asset_condition.objects] == ["foresight_retraining"]
    assert schedule.timetable.expression == "0 6 * * *"
    assert [alias.name for alias in bag.dags["nightly__acme"].get_task("watch").outlets] == [runtime.MAY_ASK.name]


@pytest.fixture
def started(monkeypatch, metadata_database):
    runs = []

    def start(self, context):
        runs.append((self.trigger_dag_id, self.trigger_run_id, self.conf))

    monkeypatch.setattr(TriggerDagRunOperator, "execute", start)
    return runs


def states(dag_run):
    return {ti.task_id: ti.state for ti in dag_run.get_task_instances()}


def test_what_is_chosen_is_started_with_its_reason(bag, started, monkeypatch):
    monkeypatch.setattr(retraining, "take", lambda databases: [ASKED])
    dag_run = bag.dags["retraining"].test()
    assert states(dag_run) == {"choose": "success", "start": "success"}
    conf = {"models": ["rework"], "reason": "rework: drift in size"}
    assert started == [("nightly__acme", "retraining__1", conf)]
    params = bag.dags["nightly__acme"].params
    params.update(conf)
    started_by = SimpleNamespace(run_type=DagRunType.OPERATOR_TRIGGERED, logical_date=None, run_after=None)
    assert runtime.request(params.validate(), started_by)["reason"] == "rework: drift in size"


def test_nothing_asked_for_starts_nothing(bag, started, monkeypatch):
    monkeypatch.setattr(retraining, "take", lambda databases: [])
    dag_run = bag.dags["retraining"].test()
    assert states(dag_run) == {"choose": "success", "start": "skipped"} and started == []
    assert dag_run.state == "success"
