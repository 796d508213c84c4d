"""What the DAG processor makes of the checkout."""

from __future__ import annotations

import copy
import datetime
import json
import re

import pytest
from airflow.sdk import TriggerRule
from airflow.serialization.serialized_objects import DagSerialization

from include.foresight import registry, runtime
from tests.support.airflow_home import ROOT

NIGHTLIES = {"nightly__acme", "nightly__tokyo"}
PHASES = ["prepare", "validate", "train", "gate", "enrich", "watch", "report"]


def test_the_whole_checkout_holds_these_dags_and_no_error(bag):
    assert bag.import_errors == {}
    assert set(bag.dags) == NIGHTLIES | {"sync_clients", "health", "rollback", "retraining"}
    assert {dag.relative_fileloc for dag in bag.dags.values()} == {
        "dags/nightly.py",
        "dags/sync_clients.py",
        "dags/health.py",
        "dags/rollback.py",
        "dags/retraining.py",
    }


def test_a_broken_entry_hurts_no_other_and_is_told_in_words(bag, snapshot):
    assert NIGHTLIES <= set(bag.dags)
    dags, broken = runtime.build(registry.read(snapshot).clients)
    assert set(dags) == NIGHTLIES
    assert set(broken) == {"broken"}
    assert "61 25" in broken["broken"]


@pytest.mark.parametrize(
    "change",
    [
        {"time_zone": "Mars/Olympus"},
        {"schedule": 7},
        {"schedule": "never"},
        {"slug": "No Slug"},
        {"slug": "acme"},
        {"name": None},
        {"client_id": "3"},
    ],
    ids=str,
)
def test_no_entry_however_wrong_takes_another_down(change):
    good = {
        "slug": "acme",
        "client_id": 1,
        "name": "Acme",
        "schedule": None,
        "time_zone": "UTC",
        "replica_conn_id": "foresight_replica",
    }
    dags, broken = runtime.build([good, {**good, "slug": "other"} | change, "not an object"])
    assert list(dags) == ["nightly__acme"]
    assert set(broken) == {change.get("slug", "other"), "entry 2"}


def test_the_last_good_copy_stands_in_for_a_snapshot_that_cannot_be_read(load, snapshot):
    snapshot.write_text("{ half a fi")
    assert set(load().dags) >= NIGHTLIES


def test_a_client_that_goes_away_goes_away(load, snapshot):
    registry.write(snapshot, [registry.Entry("acme", 1, "Acme")])
    assert set(load().dags) == {"nightly__acme", "sync_clients", "health", "rollback", "retraining"}


def test_the_phases_are_one_chain(bag):
    dag = bag.dags["nightly__acme"]
    assert [task.task_id for task in dag.topological_sort()] == PHASES
    for before, after in zip(PHASES, PHASES[1:], strict=False):
        assert dag.get_task(before).downstream_task_ids == {after}


def test_what_follows_the_training_runs_whatever_became_of_it(bag):
    rules = {task.task_id: task.trigger_rule for task in bag.dags["nightly__acme"].tasks}
    always = {task for task, rule in rules.items() if rule == TriggerRule.ALL_DONE}
    assert always == {"gate", "enrich", "watch", "report"}
    assert {rules[task] for task in ("prepare", "validate", "train")} == {TriggerRule.ALL_SUCCESS}


def test_pools_are_those_of_the_clients_replica(bag):
    for dag_id, pool in {"nightly__acme": "foresight_replica", "nightly__tokyo": "foresight_replica_2"}.items():
        pools = {task.task_id: task.pool for task in bag.dags[dag_id].tasks}
        assert pools == dict.fromkeys(("prepare", "report"), "default_pool") | dict.fromkeys(PHASES[1:-1], pool)


def test_schedules_and_time_zones_are_the_clients_own(bag):
    assert bag.dags["nightly__tokyo"].schedule.expression == "30 2 * * *"
    assert str(bag.dags["nightly__tokyo"].schedule.timezone) == "Asia/Tokyo"
    assert bag.dags["nightly__acme"].schedule.expression == registry.default_schedule("acme")


@pytest.mark.parametrize("hours_ago", [0.5, 2, 23])
def test_a_new_clients_first_nightly_is_the_next_one(hours_ago):
    """Not the one that was due shortly before it came."""
    from airflow.timetables.base import TimeRestriction

    now = datetime.datetime.now(datetime.UTC)
    tick = now - datetime.timedelta(hours=hours_ago)
    dag = runtime.nightly(registry.Entry("fresh", 9, "Fresh", schedule=f"{tick.minute} {tick.hour} * * *"))
    scheduled = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    first = scheduled.timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(None, None, catchup=False)
    )
    assert first.run_after > now


def test_house_rules_for_every_dag(bag):
    for dag in bag.dags.values():
        assert dag.catchup is False, dag.dag_id
        assert dag.start_date is None, "an explicit past start runs the last tick at once"
        assert dag.max_active_runs == 1
        assert dag.is_paused_upon_creation is False
        assert dag.dagrun_timeout > datetime.timedelta(0)
        assert "foresight" in dag.tags
        assert dag.doc_md and dag.doc_md.strip().startswith("###")
        assert dag.description
        assert isinstance(dag.on_failure_callback, runtime.FailureNotifier)
        for task in dag.tasks:
            assert task.owner == "foresight"
            assert task.start_date is None
            assert datetime.timedelta(0) < task.execution_timeout < dag.dagrun_timeout
            assert isinstance(task.retry_policy, runtime.RetryWhatCanPass)
            assert task.retries == {"sync_clients": 0, "health": 1, "rollback": 0}.get(dag.dag_id, 2)
    assert {f"client:{name}" for name in ("acme", "tokyo")} == {
        tag for dag in bag.dags.values() for tag in dag.tags if tag.startswith("client:")
    }


def test_no_two_dags_share_a_notifier(bag):
    """A notifier keeps what was rendered into it."""
    notifiers = [dag.on_failure_callback for dag in bag.dags.values()]
    assert len({id(one) for one in notifiers}) == len(notifiers)


def test_every_dag_can_be_serialized_and_is_the_same_each_time(load):
    def serialized() -> dict[str, str]:
        return {name: json.dumps(DagSerialization.to_dict(dag), sort_keys=True) for name, dag in load().dags.items()}

    assert serialized() == serialized()


def test_the_manual_names_every_task_and_parameter(bag):
    dag = bag.dags["nightly__acme"]
    for word in [*PHASES, *dag.params]:
        assert re.search(rf"\b{word}\b", dag.doc_md), word


def test_the_models_on_offer_are_those_that_are_specified(bag):
    specified = sorted(path.stem for path in (ROOT / "sql" / "features").glob("*.toml"))
    assert {"complexity", "rework", "trajectory"} <= set(specified)
    assert bag.dags["nightly__acme"].params.get_param("models").schema["items"]["enum"] == specified


@pytest.mark.parametrize(
    "wrong",
    [
        {"models": []},
        {"models": ["nonsense"]},
        {"models": ["rework", "rework"]},
        {"models": "rework"},
        {"force_retrain": "yes"},
        {"dry_run": 1},
        {"as_of": "yesterday"},
        {"as_of": "2024-05-31 noon"},
    ],
    ids=str,
)
def test_a_wrong_parameter_is_refused(bag, wrong):
    from airflow.sdk.exceptions import ParamValidationError

    params = copy.deepcopy(bag.dags["nightly__acme"].params)
    with pytest.raises(ParamValidationError):
        params.update(wrong)
        params.validate()


@pytest.mark.parametrize("as_of", ["2024-05-31", "2024-05-31T00:00:00", "2024-05-31T00:00:00.123456+02:00", None])
def test_a_moment_may_have_an_offset_or_not(bag, as_of):
    params = copy.deepcopy(bag.dags["nightly__acme"].params)
    params.update({"as_of": as_of, "models": ["rework"]})
    assert params.validate()["as_of"] == as_of


LOAD = """
import sys
from pathlib import Path
from airflow.sdk.definitions._internal.dag_parsing_context import _airflow_parsing_context_manager
from airflow.dag_processing.dagbag import BundleDagBag
root = Path({root!r})
with _airflow_parsing_context_manager(dag_id={only!r}):
    bag = BundleDagBag(dag_folder=str(root / {file!r}), bundle_path=root, bundle_name="foresight", load_op_links=False)
print(sorted(bag.dags), bag.import_errors, sorted(set({heavy!r}) & set(sys.modules)))
"""

HEAVY = ["numpy", "pandas", "psycopg", "requests", "scipy", "sklearn", "smtplib"]


@pytest.mark.parametrize("file", ["dags", "dags/nightly.py"])
def test_parsing_imports_nothing_heavy(in_a_new_process, file):
    printed = in_a_new_process(LOAD.format(root=str(ROOT), only=None, file=file, heavy=HEAVY))
    assert printed.endswith("{} []"), printed
    assert "nightly__acme" in printed


def test_a_task_makes_its_dag_from_the_id_alone(in_a_new_process, snapshot):
    """Whatever has become of the snapshot, and without even looking at it."""
    snapshot.unlink()
    registry.last_good(snapshot).unlink()
    code = LOAD.format(root=str(ROOT), only="nightly__of_any_client", file="dags/nightly.py", heavy=HEAVY)
    assert in_a_new_process(code) == "['nightly__of_any_client'] {} []"


def test_a_task_of_another_dag_makes_no_nightly():
    assert runtime.nightly_dags("health", None) == {}
    assert runtime.nightly_dags("sync_clients", None) == {}


def test_a_task_never_reads_the_snapshot(monkeypatch):
    monkeypatch.setattr(registry, "read", lambda *_, **__: pytest.fail("the snapshot was read"))
    assert list(runtime.nightly_dags("nightly__acme", None)) == ["nightly__acme"]
