"""A model's page: its panels, in their order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from foresight_api.pages import charts, wording
from foresight_api.pages.charts import Record
from include.foresight.dossier import Dossier
from include.foresight.drift import Shift
from include.foresight.names import dag_id

# Of a pgml model's metrics and of our own, those that people ask for, in this order.
SCORES = {
    "mae": "mean absolute error",
    "median_absolute_error": "median absolute error",
    "median_absolute_log_error": "typical factor",
    "auc": "area under the ROC curve",
    "brier": "Brier score",
    "base_rate": "share of rework",
}
WHO = {"challenger": "new model", "champion": "model in service", "simple": "simple rung"}


def view(
    dossier: Dossier,
    snapshot: Mapping[str, Any] | None,
    record: Record | None,
    shifts: Sequence[Shift] | None,
) -> dict[str, Any]:
    """What the template takes. `snapshot`: of the relation that the model in service was trained on. `record`,
    `shifts`: None for those who may not see them."""
    nights = dossier.nights
    return {
        "one": dossier,
        "title": dossier.spec.title,
        "charts": [
            charts.in_service(dossier, record),
            charts.error_over_time(dossier),
            charts.predicted_against_actual(dossier, record),
            charts.interval_coverage(record),
            charts.drift(shifts),
        ],
        "verdict": nights[-1] if nights else None,
        "last_judged": dossier.judged[-1] if dossier.judged else None,
        "scores": scores(dossier) if nights else None,
        "criteria": [criterion(one) for one in nights[-1].criteria] if nights else [],
        "card": card(dossier),
        "lineage": lineage(dossier, snapshot),
        "features": (dossier.training or {}).get("feature_names") or [],
        "removed": removed(dossier),
        "fleet_only": charts.FLEET_ONLY,
        "dag": dag_id(dossier.client.slug),
    }


def scores(dossier: Dossier) -> dict[str, Any]:
    """The last judgement's metrics, a row each, a column for everyone who was judged."""
    found = dossier.nights[-1].scores
    who = [name for name in WHO if name in found]
    rows = []
    for metric, title in SCORES.items():
        if not any(metric in found[name] for name in who):
            continue
        values = [found[name].get(metric) for name in who]
        if metric == "median_absolute_log_error":
            rows.append((title, *(wording.NOTHING if one is None else f"×{math.exp(one):.2f}" for one in values)))
        else:
            rows.append((title, *(duration(dossier, one) for one in values)))
    return {"columns": ("Metric", *(WHO[name] for name in who)), "rows": rows}


def duration(dossier: Dossier, value: float | None) -> str:
    """A metric's value; of seconds in days."""
    if value is not None and dossier.spec.unit == "seconds":
        return f"{value / wording.DAY:.1f} days"
    return wording.number(value)


def criterion(one: Mapping[str, Any]) -> dict[str, Any]:
    share = one["name"].startswith(("better than", "no slice"))
    said = wording.percent if share else wording.number
    extra = {"digits": 1} if share else {}
    return {
        "name": one["name"],
        "passed": one["passed"],
        "observed": said(one["observed"], **extra),
        "threshold": said(one["threshold"], **extra),
        "reason": one["reason"],
    }


def card(dossier: Dossier) -> list[tuple[str, str]]:
    """What the model in service is, and what it has learned from."""
    spec, training, serving = dossier.spec, dossier.training, dossier.serving
    facts = [
        ("Question", question(dossier)),
        ("Label and measure", f"{spec.unit}; judged by {wording.error_axis(spec)}"),
        ("Without a model", f"{spec.simple_name}"),
        ("Serves", wording.rung(serving["rung"]) if serving else "nothing yet"),
    ]
    if training is None:
        return facts
    if serving is None or serving["model_uuid"] is None:
        facts.append(("Newest training", training["status"].replace("_", " ")))
    if training["reason"]:
        facts.append(("Why", training["reason"]))
    if training["why"]:
        facts.append(("Trained because", training["why"]))
    attempts = [one for one in training["ladder"] or [] if one.get("pgml_model_id") is not None]
    if attempts:
        chosen = attempts[-1]
        settings = ", ".join(f"{name} {wording.plain(value)}" for name, value in chosen["hyperparams"].items())
        facts.append(("Algorithm", f"{chosen['algorithm']}{f' ({settings})' if settings else ''}"))
        facts.append(
            (
                "Learns",
                "how far the label is from the simple rung's answer"
                if chosen.get("target") == "log_ratio"
                else "the label itself",
            )
        )
    if training["rows_train"] is not None:
        facts += [
            (
                "Rows",
                f"{wording.number(training['rows_train'])} to learn from, "
                f"{wording.number(training['rows_test'])} later ones to judge on",
            ),
            ("Judged from", f"{wording.moment(training['cut_at'])} UTC on"),
        ]
    facts.append(("Trained on data as of", f"{wording.moment(training['as_of'])} UTC"))
    if training["cpu_seconds"] is not None:
        facts.append(
            (
                "This training cost",
                f"{training['cpu_seconds']:.1f} s of processor time, {wording.seconds(training['seconds'])} in all",
            )
        )
        facts.append(("It asked of its replica", load(training)))
    if dossier.asked is not None:
        facts.append(("Asked for by the watch", wish(dossier.asked)))
    return facts


def wish(asked: Mapping[str, Any]) -> str:
    """The newest training that drift with harm has asked for."""
    started = f"started {wording.moment(asked['taken_at'])} UTC" if asked["taken_at"] else "not started yet"
    return f"{wording.moment(asked['as_of'])} UTC, {started}" + (f": {asked['reason']}" if asked["reason"] else "")


def load(training: Mapping[str, Any]) -> str:
    """What the training took: memory of its session, temporary files of the database meanwhile, the longest wait."""
    found = []
    if training["peak_bytes"] is not None:
        found.append(f"at most {wording.size(training['peak_bytes'])} of memory")
    if training["temp_bytes"] is not None:
        files = wording.size(training["temp_bytes"]) if training["temp_bytes"] else "nothing"
        found.append(f"{files} in temporary files")
    if training["longest_statement"]:
        found.append(f"longest statement {training['longest_statement']}, {training['longest_seconds']:.1f} s")
    return ", ".join(found) or "not measured"


def question(dossier: Dossier) -> str:
    return {
        "complexity": "How many story points is an issue worth?",
        "trajectory": "How long until an epic is done?",
        "rework": "How likely is a pull request to need rework?",
    }.get(dossier.spec.model, dossier.spec.title)


def lineage(dossier: Dossier, snapshot: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """From the answer back to the rows and the code: what names each step."""
    training, serving = dossier.training, dossier.serving
    steps: list[tuple[str, Any]] = []
    if serving is not None:
        steps += [
            ("Version in service", serving["version"]),
            ("Model", serving["model_uuid"] or "none: the simple rung needs no model"),
            ("pgml project", serving["model_name"]),
            ("pgml model", serving["pgml_model_id"]),
            ("Replica", serving["replica_conn_id"]),
        ]
    if snapshot is not None:
        steps += [
            ("Snapshot", f"{snapshot['snapshot_id']} of {snapshot['relation_name']}"),
            ("Snapshot taken", f"{wording.moment(snapshot['snapshot_at'])} UTC"),
        ]
    if training is not None:
        steps += [
            ("Nightly run", training["dag_run_id"]),
            ("Training table", training["training_table"]),
            ("Fingerprint of its rows", training["fingerprint"]),
            ("Fingerprint of the sources", training["source_fingerprint"]),
            ("Feature hash", training["feature_hash"]),
            ("Digest of the spec", training["spec_digest"]),
            ("Code version", training["code_version"]),
            ("Engine", training["pgml_version"]),
        ]
    return [(name, str(value)) for name, value in steps if value is not None]


def removed(dossier: Dossier) -> list[tuple[str, str]]:
    """What each filter took out of the training rows."""
    found = (dossier.training or {}).get("rows_removed") or {}
    return [(str(name).replace("_", " "), wording.number(count)) for name, count in found.items()]
