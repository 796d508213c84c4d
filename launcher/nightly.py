"""The main job: every client's nightly DAG, triggered through the scheduler and watched until it has ended."""

from __future__ import annotations

import datetime
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rich.live import Live
from rich.table import Table

from include.foresight import model_specs, runs
from launcher.airflow import Api
from launcher.errors import LauncherError
from launcher.progress import Progress

# One client takes seconds; a night that takes this long hangs.
PATIENCE = 1800

ENDED = {"success", "failed"}
MARKS = {
    "success": "[green]✓[/]",
    "failed": "[red]✗[/]",
    "upstream_failed": "[red]·[/]",
    "skipped": "[dim]–[/]",
    "running": "[yellow]…[/]",
    "deferred": "[yellow]z[/]",
    "up_for_retry": "[yellow]↻[/]",
}


def dag_id(slug: str) -> str:
    return f"nightly__{slug}"


@dataclass
class Night:
    """How the runs of one trigger stand: the state of each client's run, and of each of its tasks."""

    runs: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        return all(state in ENDED for state in self.runs.values())

    @property
    def failed_tasks(self) -> list[str]:
        return [
            f"{slug}.{task}"
            for slug, tasks in sorted(self.tasks.items())
            for task, state in tasks.items()
            if state == "failed"
        ]

    def changes(self, before: Night) -> list[str]:
        """What a reader without a terminal is told: each task and run that has ended since."""
        lines = []
        for slug, tasks in sorted(self.tasks.items()):
            for task, state in tasks.items():
                if state != before.tasks.get(slug, {}).get(task) and state in {"success", "failed", "up_for_retry"}:
                    lines.append(f"{slug}: {task} {state}")
        for slug, state in sorted(self.runs.items()):
            if state in ENDED and state != before.runs.get(slug):
                lines.append(f"{slug}: {state}")
        return lines

    def table(self) -> Table:
        table = Table(title="The nightly runs", title_justify="left")
        names = list(dict.fromkeys(task for tasks in self.tasks.values() for task in tasks))
        table.add_column("client")
        table.add_column("state")
        for name in names:
            table.add_column(name, justify="center")
        for slug, state in sorted(self.runs.items()):
            marks = [MARKS.get(self.tasks.get(slug, {}).get(name, ""), "") for name in names]
            table.add_row(slug, state, *marks)
        return table


def parameters(
    *, models: str | None = None, dry_run: bool = False, force: bool = False, as_of: str | None = None
) -> dict[str, Any]:
    """The DAG's Params of a manual run; what is not asked for is left to the DAG's defaults.

    What the DAG would refuse is refused here, in words.
    """
    conf: dict[str, Any] = {}
    if models is not None:
        wanted = dict.fromkeys(name.strip() for name in models.split(",") if name.strip())
        if not wanted:
            raise LauncherError(f"--models names none: there are {', '.join(model_specs.names())}")
        conf["models"] = [model_specs.read(name).model for name in wanted]
    if dry_run:
        conf["dry_run"] = True
    if force:
        conf["force_retrain"] = True
    if as_of is not None:
        conf["as_of"] = runs.moment(as_of).isoformat()
    return conf


def trigger(api: Api, slugs: Iterable[str], conf: dict[str, Any]) -> str:
    """Start the nightly of these clients; returns the run id that they share."""
    run_id = f"manual__{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%S.%f}+00:00"
    for slug in slugs:
        api.trigger(dag_id(slug), run_id, conf)
    return run_id


def follow(api: Api, run_id: str, slugs: list[str], progress: Progress, patience: float = PATIENCE) -> Night:
    """Show how the runs go until all have ended."""
    night = Night(runs=dict.fromkeys(slugs, "queued"))
    deadline = time.monotonic() + patience
    if progress.console.is_terminal:
        with Live(night.table(), console=progress.console, transient=True) as live:
            while not night.ended:
                _wait(deadline, night, patience)
                night = read(api, run_id, slugs)
                live.update(night.table())
        return night
    while not night.ended:
        _wait(deadline, night, patience)
        before, night = night, read(api, run_id, slugs)
        for line in night.changes(before):
            progress.say(line)
    return night


def _wait(deadline: float, night: Night, patience: float) -> None:
    if time.monotonic() > deadline:
        waiting = Counter(state for state in night.runs.values() if state not in ENDED)
        raise LauncherError(
            f"the nightly has not ended after {patience:.0f} s ({dict(waiting)}): look at the tasks in the UI, or at "
            "./foresight logs scheduler"
        )
    time.sleep(0.5)


def read(api: Api, run_id: str, slugs: list[str]) -> Night:
    by_dag = {dag_id(slug): slug for slug in slugs}
    states = api.runs(run_id)
    night = Night(runs={slug: states.get(dag, "queued") for dag, slug in by_dag.items()})
    for task in sorted(api.tasks(run_id), key=lambda one: one["start_date"] or "9"):
        if task["dag_id"] in by_dag:
            night.tasks.setdefault(by_dag[task["dag_id"]], {})[task["task_id"]] = task["state"] or "waiting"
    return night
