"""`./foresight bench honesty`: can the predictions be trusted? A table, and one line of JSON last.

Every project of a folder is lived through again on throw-away servers, night by night through the same SQL, engine and
gate as any nightly run; what would have been served is compared with what became true. Two lines: all labelled rows
(no cap, no window), and what the document's cap and window leave. Beside it the gate, the leak probe and a planted
signal are measured on generated data (benchmarks.gate, .leaks, .skill). Nothing is fitted to the folder's data.
"""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from include.foresight import hindsight, model_specs
from include.foresight.replay import Replayed
from launcher import backtest
from launcher.backtest import Staged

Say = Callable[[str], None]

ALL, CAPPED = "", "capped"
# No cap and no window: every labelled row is learned from and judged.
LINES = {
    ALL: {
        "complexity": {"settings": {"cap": 1e9, "window_months": 12_000}},
        "rework": {"settings": {"window_months": 12_000}},
    },
    CAPPED: {},
}

# A client with fewer labels has not even one median of twenty that was compared with what came after it.
LEAST_LABELS = 40

QUICK_PROJECTS, QUICK_ROWS = 3, 1_000
THREADS = 2


@dataclass(frozen=True)
class Project:
    """One project's figures."""

    name: str
    line: str
    rows: int
    comparisons: tuple[hindsight.Comparison, ...]
    coverage: hindsight.Coverage | None
    model_share: float
    promotions: tuple[hindsight.Promotion, ...]
    steps: int
    seconds: float

    @property
    def served(self) -> float:
        return self.comparisons[0].served

    @property
    def never_worse(self) -> bool:
        return all(one.no_worse for one in self.comparisons)


def judged(project: Staged, replayed: Replayed) -> Project:
    answers, prior = replayed.answers, model_specs.read(replayed.model).prior
    labels, served = [one.label for one in answers], [one.served for one in answers]
    comparisons = tuple(
        hindsight.compared(name, labels, served, hindsight.simple_forecasts(answers, width, prior))
        for name, width in hindsight.SIMPLE.items()
    )
    return Project(
        name=project.name,
        line=project.line,
        rows=len(answers),
        comparisons=comparisons,
        coverage=hindsight.coverage(answers),
        model_share=hindsight.model_share(answers),
        promotions=tuple(hindsight.promotions(replayed)),
        steps=len(replayed.steps),
        seconds=replayed.seconds,
    )


@dataclass
class Measured:
    projects: list[Project] = field(default_factory=list)
    rework: dict[str, dict[str, float | None]] = field(default_factory=dict)
    generated: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def of(self, line: str) -> list[Project]:
        return sorted((one for one in self.projects if one.line == line), key=lambda one: one.name)


class Stopped(Exception):
    """Another replay has failed, or somebody has interrupted: this one ends too, so that its servers can."""


class Meter:
    """How far all replays are together. A night costs by the rows that there are by then, so nights are weighed."""

    BASE_ROWS = 500

    def __init__(self, jobs: Sequence[Staged], say: Say) -> None:
        self.say, self.began, self.done, self.lock = say, time.monotonic(), 0.0, threading.Lock()
        self.total = sum(self._weight(job, step) for job in jobs for step in range(1, job.steps + 1))
        self.told, self.stopped = 0.0, False

    def _weight(self, job: Staged, step: int) -> float:
        return self.BASE_ROWS + job.rows * step / max(1, job.steps)

    def step(self, job: Staged, done: int) -> None:
        if self.stopped:
            raise Stopped
        with self.lock:
            self.done += self._weight(job, done)
            passed = time.monotonic() - self.began
            if passed - self.told < 15 and done < job.steps:
                return
            self.told = passed
            left = passed / self.done * (self.total - self.done)
            self.say(
                f"  {self.done / self.total:4.0%}, about {left / 60:.0f} min left: "
                f"{job.name} {job.line or 'all rows'}, night {done} of {job.steps}"
            )


def replay_all(
    folder: Path, wanted: Collection[str] | None, *, seed: int, quick: bool, say: Say, measured: Measured
) -> None:
    """Live through every project that has labels, in all lines; points first, then pull requests."""
    found = backtest.read(folder, wanted, say)
    if quick and wanted is None:
        found = dict(_sample(found, seed))
    for model, lines in (("complexity", LINES), ("rework", {ALL: LINES[ALL]})):
        projects = {name: one for name, one in found.items() if backtest.has_labels(one, model) >= LEAST_LABELS}
        if not projects:
            continue
        with backtest.stage(projects, lines) as stage:
            jobs = sorted(stage.projects, key=lambda one: -one.rows * one.steps)
            nights = sum(job.steps for job in jobs)
            say(f"{model}: {len(projects)} projects, lived through {len(jobs)} times, {nights} nights together")
            meter = Meter(jobs, say)

            def live(job: Staged, stage=stage, model=model, meter=meter) -> tuple[Staged, Replayed]:
                return job, stage.replay(job, model, say=lambda done, of: meter.step(job, done))

            with ThreadPoolExecutor(THREADS) as pool:
                try:
                    for job, replayed in pool.map(live, jobs):
                        _keep(measured, job, replayed)
                except BaseException:
                    meter.stopped = True
                    pool.shutdown(cancel_futures=True)
                    raise


def _keep(measured: Measured, job: Staged, replayed: Replayed) -> None:
    if not replayed.answers:
        return  # nothing of it could be asked: other types of issues, no text
    if replayed.model == "complexity":
        measured.projects.append(judged(job, replayed))
    else:
        measured.rework[job.name] = hindsight.ranking(replayed.answers) | {"rows": len(replayed.answers)}


def _sample(found: Mapping[str, Any], seed: int) -> list[tuple[str, Any]]:
    small = [
        (name, one)
        for name, one in found.items()
        if any(LEAST_LABELS <= backtest.has_labels(one, model) for model in ("complexity", "rework"))
        and max(len(one.issues), len(one.pull_requests)) <= QUICK_ROWS
    ]
    return random.Random(seed).sample(sorted(small), min(QUICK_PROJECTS, len(small)))


def generated(seed: int, say: Say) -> dict[str, Any]:
    """The gate, the leak probe and a planted signal, on generated data."""
    from benchmarks import gate, leaks, skill

    gate.prepare_environment()
    found: dict[str, Any] = {}
    for name, measure in (
        ("a planted signal", lambda: skill.measure(seeds=(seed + 1, seed + 2, seed + 3), say=say)),
        ("the leak probe", lambda: leaks.measure(seeds=(seed + 3, seed + 4), say=say)),
        ("the gate", lambda: gate.measure(seed=seed, say=say)),
    ):
        began = time.monotonic()
        say(f"{name}:")
        told = measure()
        # There the share of answers by a model is of the planted signal; the key's own is of the folder's projects.
        found |= {("planted_model_share" if key == "model_share" else key): value for key, value in told.items()}
        say(f"{name}: {time.monotonic() - began:.0f} s")
    return found


def run(
    folder: Path, *, projects: Collection[str] | None = None, seed: int = 0, quick: bool = False, say: Say
) -> Measured:
    """Everything; `quick`: a sample of small projects where none are named, and nothing on generated data."""
    from benchmarks.gate import prepare_environment

    prepare_environment()
    began, measured = time.monotonic(), Measured()
    replay_all(folder, projects, seed=seed, quick=quick, say=say, measured=measured)
    if not quick:
        measured.generated = generated(seed, say)
    measured.seconds = time.monotonic() - began
    return measured


# --- What is shown

GOALS = {
    "never_worse": "all projects",
    "coverage_ok": "85 % of projects",
    "planted_skill": "at least 0.8",
    "planted_model_share": "at least 0.8",
    "false_promotion_rate": "at most 0.05",
    "false_promotions_per_model_year": "at most 0.5",
    "true_gain_promoted": "at least 0.8",
    "corrupted_promoted": "at most 0.01",
    "leaks_caught": "10 of 10 or more",
    "false_accusations": "at most 0.05",
}
OF_GENERATED = (
    "planted_skill",
    "planted_model_share",
    "false_promotion_rate",
    "false_promotions_per_model_year",
    "true_gain_promoted",
    "corrupted_promoted",
    "leaks_caught",
    "false_accusations",
)


def of_line(projects: Sequence[Project]) -> dict[str, Any]:
    rows = sum(one.rows for one in projects)
    covered = [one for one in projects if one.coverage is not None]
    return {
        "projects": len(projects),
        "never_worse": sum(one.never_worse for one in projects),
        "mean_mae": float(np.mean([one.served for one in projects])) if projects else None,
        # None: no answer had an interval.
        "coverage_ok": sum(one.coverage.ok for one in covered) if covered else None,
        "model_share": sum(one.model_share * one.rows for one in projects) / rows if rows else None,
    }


def figures(measured: Measured) -> dict[str, Any]:
    """The keys of the issue. `capped`: the same of what the document's cap leaves. `planted_model_share` stands apart
    from `model_share`, which is of the folder's projects."""
    found = of_line(measured.of(ALL))
    found |= {key: measured.generated.get(key) for key in OF_GENERATED}
    if measured.rework:
        rows = {name: one["rows"] for name, one in measured.rework.items()}
        for key, name in (("rework_auc", "auc"), ("size_auc", "simple_auc"), ("rework_ap", "ap")):
            known = {repo: one[name] for repo, one in measured.rework.items() if one[name] is not None}
            weight = sum(rows[repo] for repo in known)
            found[key] = sum(rows[repo] * value for repo, value in known.items()) / weight if weight else None
    return found | {"capped": of_line(measured.of(CAPPED))}


def tables(measured: Measured) -> list[Table]:
    shown = []
    for line, title in ((ALL, "All labelled rows, no cap, no window"), (CAPPED, "The document's cap and window")):
        projects = measured.of(line)
        if not projects:
            continue
        table = Table(title=title, title_justify="left")
        for name in ("project", "rows", "served", *hindsight.SIMPLE, "never worse", "80 % covers", "width", "spread"):
            table.add_column(name, justify="left" if name == "project" else "right")
        for name in ("by a model", "promoted", "false", "nights", "s"):
            table.add_column(name, justify="right")
        for one in projects:
            table.add_row(*_row(one))
        shown.append(table)
    if measured.rework:
        table = Table("repository", "rows", "AUC served", "AUC of size", "AP", title="Rework", title_justify="left")
        for name, one in sorted(measured.rework.items()):
            table.add_row(name, str(one["rows"]), *(_number(one[key]) for key in ("auc", "simple_auc", "ap")))
        shown.append(table)
    return [*shown, _summary(measured)]


def _row(one: Project) -> list[str]:
    cover = one.coverage
    return [
        one.name,
        str(one.rows),
        f"{one.served:.3f}",
        *(f"{each.simple:.3f}{'' if each.no_worse else ' !'}" for each in one.comparisons),
        "yes" if one.never_worse else "NO",
        f"{cover.share:.1%}{'' if cover.holds else ' !'}" if cover else "-",
        f"{cover.width:.2f}{'' if cover.narrow else ' !'}" if cover else "-",
        f"{cover.spread:.2f}" if cover else "-",
        f"{one.model_share:.0%}",
        str(len(one.promotions)),
        str(sum(each.false for each in one.promotions)),
        str(one.steps),
        f"{one.seconds:.0f}",
    ]


def _summary(measured: Measured) -> Table:
    table = Table("", "all rows", "capped", "goal")
    values = figures(measured)
    for key, value in values.items():
        if key != "capped":
            capped = values["capped"].get(key) if measured.of(CAPPED) else None
            table.add_row(key, _number(value), _number(capped) if capped is not None else "", GOALS.get(key, ""))
    table.add_row("seconds", f"{measured.seconds:.0f}", "", "")
    return table


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def as_json(measured: Measured) -> str:
    return json.dumps(_rounded(figures(measured)))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
