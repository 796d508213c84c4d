from __future__ import annotations

import datetime
import io
import json

import pytest
from rich.console import Console

from include.foresight.business import Finding
from launcher import report
from launcher.report import Report

AS_OF = datetime.datetime(2025, 6, 1)
TRAINED = {
    "slug": "acme",
    "model": "complexity",
    "status": "trained",
    "reason": None,
    "trained_rung": "boosted",
    "rows_train": 800,
    "rows_test": 200,
    "rows_removed": {"no points": 40, "over the cap": 3, "too old": 0},
    "seconds": 1.25,
    "passed": True,
    "decision": "promote",
    "scores": {"challenger": {"error": 1.234}, "simple": {"error": 2.345}},
    "rows_judged": 200,
    "sentence": "error 1.23 is below the rolling median's 2.35",
    "served_by": "boosted",
    "remark": None,
    "predictions_written": 70,
}
UNCHANGED = dict.fromkeys(TRAINED) | {
    "slug": "beta",
    "model": "rework",
    "served_by": "linear",
    "predictions_written": 5,
}
TOO_LITTLE = dict.fromkeys(TRAINED) | {
    "slug": "tiny",
    "model": "rework",
    "status": "too_little_data",
    "reason": "12 rows of 100",
    "predictions_written": 0,
}
RUN = {"slug": "acme", "run_id": 1, "failed_tasks": [], "ml_predictions_enabled": True}


def shown(*models: dict) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(report.table(Report([RUN], list(models))))
    return console.export_text()


def test_a_line_says_what_the_model_came_to():
    text = shown(TRAINED)
    for part in (
        "acme",
        "complexity",
        "1000",
        "no points 40, over the cap 3",
        "boosted",
        "1.23",
        "2.35",
        "promoted",
        "70",
    ):
        assert part in text
    assert "too old" not in text


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (UNCHANGED, "unchanged, served by linear"),
        (TOO_LITTLE, "too little data, nothing serves"),
        (TRAINED | {"decision": "keep", "served_by": "linear"}, "champion kept, served by linear"),
        (TRAINED | {"decision": "keep", "served_by": "recent"}, "turned down, served by recent"),
        (TRAINED | {"decision": "demote", "served_by": "recent"}, "turned down, served by recent"),
        (TRAINED | {"decision": None, "passed": None}, "trained, served by boosted"),
    ],
)
def test_the_verdict_says_what_serves(model, words):
    assert report.verdict(model) == words


def test_the_json_counts_the_last_nightly_and_has_every_line():
    runs = [RUN, RUN | {"slug": "beta"}, RUN | {"slug": "tiny", "failed_tasks": ["train", "report"]}]
    told = json.loads(report.as_json(Report(runs, [TRAINED, UNCHANGED, TOO_LITTLE])))
    first, _, last = told.pop("results")
    assert told == {
        "clients": 3,
        "models": 3,
        "trained": 1,
        "skipped": 2,
        "served_by_rung": {"boosted": 1, "linear": 1},
        "predictions_written": 75,
        "failed_tasks": 2,
    }
    assert first == {
        "client": "acme",
        "model": "complexity",
        "status": "trained",
        "rung": "boosted",
        "rows": 1000,
        "error": 1.234,
        "simple_error": 2.345,
        "decision": "promote",
        "served_by": "boosted",
        "predictions_written": 70,
        "seconds": 1.25,
        "reason": "error 1.23 is below the rolling median's 2.35",
    }
    assert (last["status"], last["rows"], last["reason"]) == ("too_little_data", None, "12 rows of 100")


def test_the_reasons_are_told():
    runs = [RUN, RUN | {"slug": "off", "ml_predictions_enabled": False}, RUN | {"slug": "new", "run_id": None}]
    lines = report.remarks(Report(runs, [TRAINED, UNCHANGED, TOO_LITTLE]))
    assert lines == [
        "acme/complexity: error 1.23 is below the rolling median's 2.35",
        "tiny/rework: 12 rows of 100",
        "off: ml_predictions_enabled is false, so no prediction is written",
        "new: no nightly yet",
    ]


def test_a_dry_run_is_told_as_one_beside_the_last_run_that_counted():
    trial = {"slug": "acme", "model": "complexity", "state": "success", "as_of": AS_OF, "dry_run": True}
    trial |= {"status": "trained", "reason": None, "sentence": "the new model is better"}
    more = [trial, trial | {"slug": "tiny", "dry_run": False, "status": "too_little_data", "sentence": None}]
    more.append(trial | {"slug": "beta", "model": None, "status": None, "sentence": None, "state": "failed"})
    found = Report([RUN], [TRAINED], more)
    assert report.remarks(found)[1:] == [
        "acme/complexity, dry run: the new model is better",
        "tiny/complexity, as of 2025-06-01 00:00:00: too little data",
        "beta, dry run: failed",
    ]
    assert json.loads(report.as_json(found)) == json.loads(report.as_json(Report([RUN], [TRAINED])))


def test_a_client_whose_answers_are_all_the_same_is_told_so():
    prior = TOO_LITTLE | {"served_by": "prior", "remark": "all 41 predictions are the same: 3 points"}
    assert "too little data, served by prior" in shown(prior)
    assert "tiny/rework: all 41 predictions are the same: 3 points" in report.remarks(Report([RUN], [prior]))


def test_what_predictions_would_have_changed_is_told_with_its_formula():
    found = [
        Finding("acme", "trajectory", "epics later than their P85 date", 0.25, None, 2, 8, "late epics ÷ epics"),
        Finding("acme", "rework", "rework caught in the riskiest 10 %", None, None, 0.0, 0, "caught ÷ all"),
    ]
    console = Console(record=True, width=120, file=io.StringIO())
    report.show_business(found, console)
    text = console.export_text()
    assert "25.0%" in text and "2 of 8" in text and "0 of 0" in text
    assert "acme: epics later than their P85 date = late epics ÷ epics" in text
    [first, second] = json.loads(report.business_as_json(found))["business"]
    assert (first["value"], first["rows"], second["value"]) == (0.25, 8, None)
