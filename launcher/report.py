"""What the last nightly did: read from the primary alone, shown as a table and as one line of JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table

from include.foresight.business import Finding
from launcher import clusters
from launcher.errors import LauncherError
from launcher.instance import Instance
from launcher.system import CHECKOUT

SIMPLE_RUNGS = {"recent", "prior"}
ERRORS = (
    "Errors are of the same later rows: points on average (complexity), 1 − AUC (rework), "
    "the median absolute log of the ratio (trajectory)."
)

# Below this many characters the filters go under the table: folded into a column they could not be read.
WIDE = 150
FILTERS = "removed by filter"

COLUMNS = {
    "client": "left",
    "model": "left",
    "rows": "right",
    FILTERS: "left",
    "rung": "left",
    "error": "right",
    "simple rung's": "right",
    "verdict": "left",
    "predictions": "right",
    "seconds": "right",
}

STATEMENTS = CHECKOUT / "sql" / "statements" / "report"


@dataclass(frozen=True)
class Report:
    """`runs`: one row per client. `models`: one row per client and model. `trials`: of a dry run or a run of the past,
    if it was the client's last, a row per model."""

    runs: list[dict[str, Any]]
    models: list[dict[str, Any]]
    trials: Sequence[dict[str, Any]] = ()


def _query(instance: Instance, name: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    primary = clusters.of(instance).primary
    if not primary.running:
        raise LauncherError(f"the primary of '{instance.name}' is stopped: ./foresight run starts it")
    with psycopg.connect(primary.conninfo("platform"), row_factory=dict_row) as connection:
        return connection.execute((STATEMENTS / f"{name}.sql").read_bytes(), parameters).fetchall()


def active_clients(instance: Instance) -> list[str]:
    return [row["slug"] for row in _query(instance, "active_clients", {})]


def read(instance: Instance, slugs: Sequence[str] | None = None) -> Report:
    wanted = {"slugs": list(slugs) if slugs is not None else None}
    return Report(*(_query(instance, name, wanted) for name in ("runs", "models", "trials")))


def verdict(model: dict[str, Any]) -> str:
    """What happened to the model, in a few words."""
    served = f"served by {model['served_by']}" if model["served_by"] else "nothing serves"
    status = model["status"]
    if status is None or status == "unchanged":
        return f"unchanged, {served}"
    if status == "trained" and model["decision"]:
        return f"{_decided(model)}, {served}"
    return f"{status.replace('_', ' ')}, {served}"


def _decided(model: dict[str, Any]) -> str:
    if model["decision"] == "promote":
        return "promoted"
    return "turned down" if model["served_by"] in SIMPLE_RUNGS else "champion kept"


def removed(model: dict[str, Any]) -> str:
    """Rows that each filter took out, the greediest first."""
    counts = Counter({name: count for name, count in (model["rows_removed"] or {}).items() if count})
    return ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "–"


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def table(report: Report, width: int = WIDE) -> Table:
    """The result, one line per client and model."""
    shown = Table(title="Result", title_justify="left", caption=ERRORS, caption_justify="left")
    columns = {heading: justify for heading, justify in COLUMNS.items() if heading != FILTERS or width >= WIDE}
    for heading, justify in columns.items():
        shown.add_column(heading, justify=justify, overflow="fold")
    before = None
    for model in report.models:
        rows = (model["rows_train"] or 0) + (model["rows_test"] or 0)
        error, simple = errors(model)
        cells = {
            "client": model["slug"] if model["slug"] != before else "",
            "model": model["model"],
            "rows": str(rows) if model["rows_train"] is not None else "–",
            FILTERS: removed(model),
            "rung": model["trained_rung"] or "–",
            "error": number(error),
            "simple rung's": number(simple),
            "verdict": verdict(model),
            "predictions": str(model["predictions_written"]),
            "seconds": f"{model['seconds']:.1f}" if model["seconds"] is not None else "–",
        }
        shown.add_row(*(cells[heading] for heading in columns))
        before = model["slug"]
    return shown


def errors(model: dict[str, Any]) -> tuple[float | None, float | None]:
    """The new model's error and the simple rung's on the same later rows."""
    scores = model["scores"] or {}
    return _score(scores, "challenger"), _score(scores, "simple")


def _score(scores: dict[str, Any], who: str) -> float | None:
    entry = scores.get(who)
    return entry.get("error") if isinstance(entry, dict) else entry


def remarks(report: Report, width: int = WIDE) -> list[str]:
    """Why: the gate's sentences, the reasons of what did not train, and what failed."""
    lines = []
    if width < WIDE:
        lines += [
            f"{model['slug']}/{model['model']}: rows removed by filter: {removed(model)}"
            for model in report.models
            if any((model["rows_removed"] or {}).values())
        ]
    alike: dict[str, list[str]] = {}
    for model in report.models:
        if model["sentence"]:
            lines.append(f"{model['slug']}/{model['model']}: {model['sentence']}")
        elif model["reason"]:
            alike.setdefault(f"{model['model']}: {model['reason']}", []).append(model["slug"])
    # A folder of exports has dozens of clients without a single pull request.
    lines += [f"{', '.join(slugs)}/{said}" for said, slugs in alike.items()]
    lines += [f"{model['slug']}/{model['model']}: {model['remark']}" for model in report.models if model["remark"]]
    for trial in report.trials:
        kind = "dry run" if trial["dry_run"] else f"as of {trial['as_of']}"
        subject = f"{trial['slug']}/{trial['model']}" if trial["model"] else trial["slug"]
        outcome = trial["sentence"] or trial["reason"] or (trial["status"] or trial["state"]).replace("_", " ")
        lines.append(f"{subject}, {kind}: {outcome}")
    for run in report.runs:
        if run["run_id"] is None:
            lines.append(f"{run['slug']}: no nightly yet")
        elif run["failed_tasks"]:
            lines.append(f"{run['slug']}: failed in {', '.join(run['failed_tasks'])}")
        elif not run["ml_predictions_enabled"]:
            lines.append(f"{run['slug']}: ml_predictions_enabled is false, so no prediction is written")
    return lines


def totals(report: Report) -> dict[str, Any]:
    served = Counter(model["served_by"] for model in report.models if model["served_by"])
    trained = sum(model["status"] == "trained" for model in report.models)
    return {
        "clients": len(report.runs),
        "models": len(report.models),
        "trained": trained,
        "skipped": len(report.models) - trained,
        "served_by_rung": dict(sorted(served.items())),
        "predictions_written": sum(model["predictions_written"] for model in report.models),
        "failed_tasks": sum(len(run["failed_tasks"] or []) for run in report.runs),
    }


def show(report: Report, console: Console) -> None:
    console.print(table(report, console.width))
    for line in remarks(report, console.width):
        console.print(line, markup=False, highlight=False)


def as_json(report: Report) -> str:
    """The totals, and below `results` what each line of the table says, with the reason."""
    results = [
        {
            "client": model["slug"],
            "model": model["model"],
            "status": model["status"],
            "rung": model["trained_rung"],
            "rows": None if model["rows_train"] is None else model["rows_train"] + (model["rows_test"] or 0),
            "error": errors(model)[0],
            "simple_error": errors(model)[1],
            "decision": model["decision"],
            "served_by": model["served_by"],
            "predictions_written": model["predictions_written"],
            "seconds": model["seconds"],
            "reason": model["sentence"] or model["reason"],
        }
        for model in report.models
    ]
    return json.dumps(totals(report) | {"results": results})


def show_business(findings: Sequence[Finding], console: Console) -> None:
    """What the predictions would have changed: one line per client and figure, and each formula once."""
    shown = Table(title="What the predictions would have changed", title_justify="left")
    for heading in ("client", "figure", "served", "simple rung", "of"):
        shown.add_column(heading, justify="left" if heading in ("client", "figure") else "right", overflow="fold")
    before = None
    for one in findings:
        name = one.client if one.client != before else ""
        shown.add_row(name, one.title, percent(one.value), percent(one.simple), f"{one.part:.3g} of {one.rows}")
        before = one.client
    console.print(shown)
    for one in findings:
        console.print(f"{one.client}: {one.title} = {one.formula}", markup=False, highlight=False, soft_wrap=True)


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def business_as_json(findings: Sequence[Finding]) -> str:
    return json.dumps({"business": [asdict(one) for one in findings]})
