"""The nightly run of one client, phase by phase: what the DAG's tasks call.

Every function finds the run again by the id of its DAG run, may be killed at any point and may be called again. What it
returns is small and JSON, for people who look at a task's result.

Each task is a process of its own that runs one phase: what the phase needs (numpy, for some) is imported by it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from include.foresight import reporting, runs
from include.foresight.database import Databases
from include.foresight.errors import DataBlocked, ModelsFailed
from include.foresight.runs import Request, Run


def prepare(
    databases: Databases,
    slug: str,
    dag_run_id: str,
    request: Mapping[str, Any],
    *,
    patience: float = 10.0,
    waited: float = 0.0,
    at_most: float = 1800.0,
) -> dict[str, Any]:
    """Open the run: `state` is prepared, unchanged (nothing new, the run is over) or waiting (the replica is behind).

    `waited`: the seconds that earlier calls have waited for the replica; raises ReplicaBehind when that is over
    `at_most`.
    """
    from include.foresight import preparation

    prepared = preparation.prepare(databases, slug, dag_run_id, Request.of(request), patience=patience)
    if prepared.state == preparation.WAITING and waited >= at_most:
        preparation.give_up_waiting(slug, waited)
    if prepared.state == preparation.UNCHANGED:
        with databases.primary() as primary, primary.as_client(prepared.run.client.client_id) as tx:
            summary = f"{prepared.run.client.name}: {prepared.reason}; every model serves as before."
            tx.run("reporting/close_unchanged", {"run_id": prepared.run.run_id, "summary": summary})
    return preparation.summary(prepared)


def validate(databases: Databases, slug: str, dag_run_id: str) -> dict[str, Any]:
    """Run the checks. Raises DataBlocked when no model is left whose data may be trained on."""
    from include.foresight import validation

    run = runs.find(databases, slug, dag_run_id)
    models = [spec.model for spec in run.specs]
    results = validation.validate(databases, run, models)
    blocked = validation.blocked_models(results, models)
    found = {
        "checks": len(results),
        "failed": [result.check_name for result in results if not result.passed],
        "quarantined": sum(result.rows_affected for result in results if result.severity == "quarantine"),
        "blocked": blocked,
    }
    _note(databases, run, dag_run_id, "validate", found)
    if models and set(blocked) == set(models):
        raise DataBlocked(f"client '{slug}': every model is blocked: {_listed(blocked)}")
    return found


def train(databases: Databases, slug: str, dag_run_id: str) -> dict[str, Any]:
    """Train the models that are not blocked. Raises ModelsFailed, at its end, when some could not be trained."""
    from include.foresight import training

    run = runs.find(databases, slug, dag_run_id)
    outcomes = training.train(databases, run, run.specs, _blocked(databases, run))
    found = {outcome.model: asdict(outcome) for outcome in outcomes}
    _note(databases, run, dag_run_id, "train", found)
    failed = {outcome.model: outcome.reason or "" for outcome in outcomes if outcome.status == "failed"}
    if failed:
        raise ModelsFailed(f"client '{slug}': {_listed(failed)}")
    return found


def gate(databases: Databases, slug: str, dag_run_id: str) -> dict[str, Any]:
    """Judge what was trained, and promote."""
    from include.foresight import promotion

    run = runs.find(databases, slug, dag_run_id)
    found = {decision.model: asdict(decision) for decision in promotion.gate(databases, run, run.specs)}
    return _note(databases, run, dag_run_id, "gate", found)


def enrich(databases: Databases, slug: str, dag_run_id: str) -> dict[str, Any]:
    """Write predictions beside the platform's rows."""
    from include.foresight import enrichment

    run = runs.find(databases, slug, dag_run_id)
    blocked = _blocked(databases, run)
    specs = [spec for spec in run.specs if spec.model not in blocked]
    enriched = enrichment.enrich(databases, run, specs)
    found = {
        "written": {one.model: one.written for one in enriched},
        "rungs": {one.model: one.rung for one in enriched},
        "remarks": {one.model: one.remark for one in enriched if one.remark},
        "constant": {one.model: one.constant for one in enriched if one.constant},
    }
    return _note(databases, run, dag_run_id, "enrich", found)


def watch(databases: Databases, slug: str, dag_run_id: str) -> dict[str, Any]:
    """Look at what serves."""
    from include.foresight import monitoring

    run = runs.find(databases, slug, dag_run_id)
    found = {health.model: asdict(health) for health in monitoring.watch(databases, run, run.specs)}
    return _note(databases, run, dag_run_id, "watch", found)


def report(databases: Databases, slug: str, dag_run_id: str, task_states: Mapping[str, str]) -> dict[str, Any]:
    """Close the run, whatever happened before."""
    return reporting.report(databases, slug, dag_run_id, task_states)


PHASES: dict[str, Callable[[Databases, str, str], dict[str, Any]]] = {
    "validate": validate,
    "train": train,
    "gate": gate,
    "enrich": enrich,
    "watch": watch,
}


def _blocked(databases: Databases, run: Run) -> dict[str, str]:
    """What this run's validation has blocked, as it wrote it down: model and reason."""
    with databases.primary() as primary, primary.as_client(run.client.client_id) as tx:
        rows = tx.all("validation/blocking", {"run_id": run.run_id})
    blocked: dict[str, str] = {}
    for row in rows:
        for model in [row["model"]] if row["model"] else [spec.model for spec in run.specs]:
            blocked.setdefault(model, f"{row['check_name']}: {row['reason']}")
    return blocked


def _note(databases: Databases, run: Run, dag_run_id: str, phase: str, found: dict[str, Any]) -> dict[str, Any]:
    with databases.primary() as primary:
        reporting.note_phase(primary, run.client, dag_run_id, phase, found)
    return found


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{model}: {reason}" for model, reason in sorted(reasons.items()))
