"""The last phase: one row and a summary that a person can read, whatever happened before."""

from __future__ import annotations

import datetime
from typing import Any
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb

from include.foresight import nightly, reporting
from include.foresight.runs import Run
from tests.support import nights
from tests.support.installation import Installation
from tests.support.nights import Bench

WELL = dict.fromkeys(("prepare", "validate", "train", "gate", "enrich", "watch"), "success")


@pytest.fixture
def bench(installed: Installation, client_ids) -> Bench:
    client_id = next(client_ids)
    return nights.bench(installed, installed.databases, client_id, name=f"O'Brien & Söhne „Лада“ {client_id}")


def report(bench: Bench, run: Run, states: dict[str, str]) -> dict[str, Any]:
    return nightly.report(bench.databases, bench.slug, dag_run_id(bench, run), states)


def dag_run_id(bench: Bench, run: Run) -> str:
    return row(bench, run, "dag_run_id")[0]


def row(bench: Bench, run: Run, columns: str) -> tuple:
    [found] = bench.rows(columns, "nightly_runs", "and run_id = %(run_id)s", run_id=run.run_id)
    return found


def check(bench: Bench, run: Run, **other: Any) -> None:
    nights.insert(
        bench.installed.primary,
        "validation_results",
        {
            "run_id": run.run_id,
            "client_id": bench.client_id,
            "check_name": "issue_clock",
            "severity": "quarantine",
            "passed": False,
            "reason": "3 issues were completed before they were created",
            "rows_affected": 3,
        }
        | other,
    )


def judged(bench: Bench, run: Run, sentence: str) -> None:
    nights.insert(
        bench.installed.primary,
        "gate_verdicts",
        {
            "verdict_id": uuid4(),
            "run_id": run.run_id,
            "model_uuid": bench.trained(run, 7),
            "client_id": bench.client_id,
            "model": bench.spec.model,
            "passed": True,
            "decision": "promote",
            "judged_version": 0,
            "criteria": Jsonb([]),
            "scores": Jsonb({}),
            "rows_judged": 80,
            "sentence": sentence,
        },
    )


def test_a_night_that_went_well(bench: Bench):
    run = bench.night()
    judged(bench, run, "On the last 80 issue rows the new model is better: the new model serves.")
    bench.trained(run, None, model="rework", status="too_little_data", reason="3 rows to learn from")
    bench.trained(run, None, model="trajectory", status="unchanged")
    bench.serve(None)
    check(bench, run)
    check(bench, run, check_name="issue_volume", severity="warn", passed=True)
    check(bench, run, check_name="rework_labels", severity="block", model="rework", reason="all are alike")
    with bench.databases.primary() as primary:
        for phase, found in {"enrich": {"written": {"complexity": 12, "rework": 0}}, "watch": {"x": 1}}.items():
            reporting.note_phase(primary, run.client, dag_run_id(bench, run), phase, found)
    said = report(bench, run, WELL)
    state, summary, failed, written, finished, phases = row(
        bench, run, "state, summary, failed_tasks, predictions_written, finished_at, phases"
    )
    assert (state, failed, written) == ("success", [], {"complexity": 12, "rework": 0}) and finished is not None
    assert phases.keys() == {"enrich", "watch"}
    assert said == {"state": state, "failed_tasks": failed, "predictions_written": written, "summary": summary}
    assert summary.splitlines() == [
        f"O'Brien & Söhne „Лада“ {bench.client_id}, as of 2025-06-01 00:00 UTC",
        "complexity: served by recent. On the last 80 issue rows the new model is better: the new model serves.",
        "rework: served by nothing yet. 3 rows to learn from",
        "trajectory: served by nothing yet. Unchanged since the last night.",
        "Check rework_labels (rework), block: all are alike",
        "Check issue_clock, quarantine: 3 issues were completed before they were created",
    ]


def test_failed_tasks_are_named(bench: Bench):
    run = bench.night()
    bench.trained(run, None, status="failed", reason="no rung could be trained: boosted: out of memory")
    said = report(bench, run, WELL | {"train": "failed", "gate": "failed", "enrich": "upstream_failed"})
    assert (said["state"], said["failed_tasks"]) == ("failed", ["gate", "train"])
    assert row(bench, run, "state, failed_tasks") == ("failed", ["gate", "train"])
    assert said["summary"].splitlines()[1:] == [
        "Failed: gate, train.",
        "complexity: served by nothing yet. no rung could be trained: boosted: out of memory",
    ]


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ({"train": "skipped"}, "success"),
        ({"train": "upstream_failed"}, "failed"),
        ({"prepare": "failed"}, "failed"),
        ({}, "success"),
    ],
)
def test_the_state_follows_the_tasks(bench: Bench, states, state):
    run = bench.night()
    assert report(bench, run, WELL | states)["state"] == state
    assert row(bench, run, "state") == (state,)


def test_a_run_that_was_never_prepared(bench: Bench):
    said = nightly.report(bench.databases, bench.slug, "never", {"prepare": "failed"})
    assert said == {"state": "failed", "failed_tasks": ["prepare"], "summary": "The run was never prepared."}
    assert bench.rows("1", "nightly_runs") == []


def test_a_cleared_task_reports_again(bench: Bench):
    run = bench.night()
    report(bench, run, WELL | {"watch": "failed"})
    assert report(bench, run, WELL)["state"] == "success"
    assert row(bench, run, "state, failed_tasks") == ("success", [])


def test_a_task_that_fails_the_second_time_reports_nothing_of_the_first(bench: Bench):
    run = bench.night()
    with bench.databases.primary() as primary:
        reporting.note_phase(
            primary, run.client, dag_run_id(bench, run), "enrich", {"written": {"complexity": 12}, "rungs": {}}
        )
    assert report(bench, run, WELL)["predictions_written"] == {"complexity": 12}
    assert report(bench, run, WELL | {"enrich": "failed"})["predictions_written"] == {}


@pytest.mark.parametrize(
    ("request_", "kind"), [({"dry_run": True}, "a dry run"), ({"past": True}, "a run of the past")]
)
def test_what_could_change_nothing_says_so(bench: Bench, request_, kind):
    summary = report(bench, bench.night(**request_), WELL)["summary"]
    assert summary.splitlines()[1] == f"This is {kind}: nothing was promoted, and no newer prediction was replaced."


def test_a_client_without_a_label_is_served_by_the_prior(bench: Bench):
    """What serves is the simple rung, and the answers are a constant: both are said."""
    run = bench.night()
    bench.serve(None)
    bench.trained(run, None, status="too_little_data", reason="0 rows to learn from")
    found = {"rungs": {"complexity": "prior"}, "constant": {"complexity": "all 41 predictions are the same: 3 points"}}
    with bench.databases.primary() as primary:
        reporting.note_phase(primary, run.client, dag_run_id(bench, run), "enrich", found)
    assert report(bench, run, WELL)["summary"].splitlines()[1:] == [
        "complexity: served by prior. 0 rows to learn from",
        "complexity: all 41 predictions are the same: 3 points.",
    ]


def test_findings_that_are_known_are_counted(bench: Bench):
    run = bench.night()
    check(bench, run, check_name="issue_volume", severity="warn", reason="fewer than usual")
    for name, runs in {"issue_clock": 41, "issue_points": 7}.items():
        check(bench, run, check_name=name, news=False, runs=runs, since=datetime.date(2025, 3, 1))
    assert report(bench, run, WELL)["summary"].splitlines()[1:] == [
        "Check issue_volume, warn: fewer than usual",
        "2 checks have found the same as before: issue_clock (41 runs, since 2025-03-01), "
        "issue_points (7 runs, since 2025-03-01).",
    ]


def test_a_client_without_predictions_is_told_so(installed: Installation, client_ids):
    silent = nights.bench(installed, installed.databases, next(client_ids), ml_predictions_enabled=False)
    run = silent.night()
    assert report(silent, run, WELL)["summary"].endswith("ml_predictions_enabled is false: no prediction is written.")


def test_a_summary_is_of_one_client_only(bench: Bench, installed: Installation, client_ids):
    other = nights.bench(installed, installed.databases, next(client_ids), name="Somebody else")
    theirs = other.night()
    check(other, theirs, reason="a secret of somebody else's")
    run = bench.night()
    said = report(bench, run, WELL)
    assert "ecret" not in said["summary"] and "Somebody" not in said["summary"]
    assert row(other, theirs, "state") == ("prepared",)
