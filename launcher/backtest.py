"""`./foresight backtest`: a client's history lived again on throw-away servers, and a report of what came of it.

`stage` puts a folder's projects on such servers; the benchmark of honesty replays many of them by it.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from demo import exports, history
from demo.book import Book
from demo.tables import load
from include.foresight import model_specs
from include.foresight.replay import Replay, Replayed, moments
from include.foresight.sql import statement
from launcher import platform_data, throwaway
from launcher.errors import LauncherError
from launcher.throwaway import ThrowAway

Say = Callable[[str], None]


@dataclass(frozen=True)
class Staged:
    """A project on the servers. `labelled`: how many of its rows have a label of the model, at their end."""

    client_id: int
    slug: str
    name: str
    line: str
    span: tuple[datetime.datetime, datetime.datetime]
    rows: int

    @property
    def steps(self) -> int:
        return len(moments(*self.span))


@dataclass
class Stage:
    """Projects ready to be lived through, each by one thread at a time."""

    servers: ThrowAway
    projects: list[Staged] = field(default_factory=list)

    def replay(
        self, project: Staged, model: str, *, library: bool = False, say: Callable[[int, int], None] | None = None
    ) -> Replayed:
        past = history.Client(self.servers.platform, project.client_id)
        with self.servers.databases() as databases:
            replay = Replay(databases, project.slug, model, past.show, library=library)
            return replay.live(*project.span, say=say or (lambda done, of: None))


def read(folder: Path, wanted: Collection[str] | None, say: Say) -> dict[str, exports.Client]:
    """The projects of a folder by the names that their clients get; of `wanted`, those alone."""
    found = platform_data.read_exports(folder, say)
    named = dict(zip(exports.names(found), found, strict=True))
    unknown = sorted(set(wanted or ()) - set(named))
    if unknown:
        raise LauncherError(f"{folder} has no client '{unknown[0]}': there are {', '.join(sorted(named))}")
    return {name: client for name, client in named.items() if wanted is None or name in wanted}


@contextlib.contextmanager
def stage(
    projects: Mapping[str, exports.Client], lines: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[Stage]:
    """These projects on throw-away servers, once for every line; a line's overrides are those of its clients' rows in
    the registry. Their history is set aside, the platform's tables are empty."""
    lines = lines or {"": {}}
    with throwaway.installation() as servers:
        book, clocks, staged = Book(end=0), {}, []
        for name, client in projects.items():
            for line in lines:
                client_id = exports.write(book, client, f"{name} {line}".strip())
                clocks[client_id] = client.clock
                staged.append((client_id, name, line))
        load(servers.platform, book.tables(), clocks)
        history.keep(servers.platform)
        servers.install()
        made = Stage(servers)
        for client_id, name, line in staged:
            slug = platform_data.slug_for(client_id, f"{name} {line}".strip(), {one.slug for one in made.projects})
            servers.register(client_id, slug, name)
            if lines[line]:
                with psycopg.connect(servers.primary) as connection:
                    connection.execute(
                        statement("deployment/override_client"),
                        {"client_id": client_id, "overrides": Jsonb(lines[line])},
                    )
            span = history.Client(servers.platform, client_id).span()
            client = projects[name]
            made.projects.append(
                Staged(client_id, slug, name, line, span, max(len(client.issues), len(client.pull_requests)))
            )
        yield made


def has_labels(client: exports.Client, model: str) -> int:
    """How many of a project's rows may become labels of a model."""
    spec = model_specs.read(model)
    if spec.entity == "pull_request":
        merged = client.pull_requests.get("merged_at")
        return 0 if merged is None else int(merged.notna().sum())
    if client.issues.empty:
        return 0
    if spec.unit == "points":
        points = client.issues.get("story_points")
        return 0 if points is None else int((points.fillna(0) > 0).sum())
    epics = client.issues["issuetype"] == "Epic"
    done = client.issues.get("work_last_completed_at")
    return 0 if done is None else int((epics & done.notna()).sum())


def run(folder: Path, name: str, model: str, out: Path, say: Say) -> Replayed:
    """Live through one client's history and write the report."""
    import time

    from launcher import backtest_report

    if model not in model_specs.names():
        raise LauncherError(f"there is no model '{model}': there are {', '.join(model_specs.names())}")
    if not out.resolve().parent.is_dir():
        raise LauncherError(f"there is no folder {out.resolve().parent} to write {out.name} to")
    projects = read(folder, [name], say)
    if not has_labels(projects[name], model):
        raise LauncherError(f"client '{name}' has no row with a label of the model '{model}'")
    began = time.monotonic()

    def tell(done: int, of: int) -> None:
        left = (time.monotonic() - began) / done * (of - done)
        say(f"night {done} of {of}, about {left:.0f} s left")

    with stage(projects) as staged:
        [project] = staged.projects
        say(f"{name}: {project.steps} nights from {project.span[0]:%Y-%m-%d} to {project.span[1]:%Y-%m-%d}")
        began = time.monotonic()
        replayed = staged.replay(project, model, library=True, say=tell)
    out.write_text(backtest_report.page(replayed, name), encoding="utf-8")
    return replayed
