"""The last phase: one row and one readable summary per run, whatever happened before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb

from include.foresight import clients, runs, validation
from include.foresight.clients import Client
from include.foresight.database import Databases, Session
from include.foresight.rungs import RECENT

FAILED = ("failed", "upstream_failed")


def report(databases: Databases, slug: str, dag_run_id: str, task_states: Mapping[str, str]) -> dict[str, Any]:
    """Close the run's row. `task_states`: of the tasks before this one."""
    with databases.primary() as primary:
        with primary.as_fleet() as fleet:
            client = clients.read(fleet, slug)
        run_id = runs.run_id_of(client, dag_run_id)
        failed = sorted(task for task, state in task_states.items() if state == "failed")
        with primary.as_client(client.client_id) as tx:
            run = tx.one("runs/by_id", {"run_id": run_id})
            if run is None:
                return {"state": "failed", "failed_tasks": failed, "summary": "The run was never prepared."}
            models = tx.all("reporting/models", {"run_id": run_id, "client_id": client.client_id})
            checks = tx.all("reporting/failed_checks", {"run_id": run_id})
            # What an earlier try of a failed task has noted is of that try.
            enriched = run["phases"].get("enrich") or {} if task_states.get("enrich") not in FAILED else {}
            written = enriched.get("written") or {}
            state = "failed" if any(state in FAILED for state in task_states.values()) else "success"
            summary = _summary(client, run, models, checks, failed, enriched)
            tx.run(
                "reporting/close",
                {
                    "run_id": run_id,
                    "state": state,
                    "failed_tasks": failed,
                    "predictions_written": Jsonb(written),
                    "summary": summary,
                },
            )
    return {"state": state, "failed_tasks": failed, "predictions_written": written, "summary": summary}


def note_phase(primary: Session, client: Client, dag_run_id: str, phase: str, result: Mapping[str, Any]) -> None:
    """Keep what a phase came to in the run's row."""
    values = {"run_id": runs.run_id_of(client, dag_run_id), "phase": phase, "result": Jsonb(dict(result))}
    with primary.as_client(client.client_id) as tx:
        tx.run("reporting/note_phase", values)


def _summary(
    client: Client,
    run: Mapping[str, Any],
    models: list[dict[str, Any]],
    checks: list[dict[str, Any]],
    failed: list[str],
    enriched: Mapping[str, Any],
) -> str:
    lines = [f"{client.name}, as of {run['as_of']:%Y-%m-%d %H:%M} UTC"]
    if not run["binding"]:
        kind = "a dry run" if run["request"].get("dry_run") else "a run of the past"
        lines.append(f"This is {kind}: nothing was promoted, and no newer prediction was replaced.")
    if failed:
        lines.append(f"Failed: {', '.join(failed)}.")
    for model in models:
        name = model["model"]
        told = model["sentence"] or model["reason"] or "Unchanged since the last night."
        # What needs no model answers a client without any label by a constant.
        served_by = enriched.get("rungs", {}).get(name) if model["served_by"] == RECENT else model["served_by"]
        lines.append(f"{name}: served by {served_by or model['served_by'] or 'nothing yet'}. {told}")
        lines += [
            f"{name}: {enriched[kind][name]}." for kind in ("remarks", "constant") if name in enriched.get(kind, {})
        ]
    for check in checks:
        if check["news"]:
            about = f" ({check['model']})" if check["model"] else ""
            lines.append(f"Check {check['check_name']}{about}, {check['severity']}: {check['reason']}")
    lines += validation.repeated_findings([check for check in checks if not check["news"]])
    if not client.ml_predictions_enabled:
        lines.append("ml_predictions_enabled is false: no prediction is written.")
    return "\n".join(lines)
