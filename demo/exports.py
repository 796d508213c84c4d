"""Exports of issue trackers and code hosts as the platform's tables. docs/data.md has the mapping.

A file is recognised by its header; one project (or repository) is one client. What exports cannot tell is left empty or
made up as that page says; what is snapshot of an issue's end (comments, assignee, priority, labels) is left out, for
nobody could have known it in time.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from demo.book import Book
from demo.issues import BACKLOG, DONE, IN_PROGRESS, from_changelog
from demo.layouts import CHANGELOGS, COUNTS, GITHUB, JIRA, LAYOUTS, PLAIN, PULL_REQUESTS, resolved
from demo.sheets import SUFFIXES, ExportError, Layout, Problems, Sheet, content
from demo.tables import LoadedClient, load, utc

log = logging.getLogger(__name__)

# Exports of story points have no times: their issues are given one every two hours, the last one at this moment.
MADE_UP_END = datetime(2025, 1, 1)
MADE_UP_STEP = timedelta(hours=2)

# Jira's status categories: the platform's step and category, and the step that the changelog counts with.
CATEGORIES = {
    "new": ("Backlog", "To Do", BACKLOG),
    "indeterminate": ("In Progress", "In Progress", IN_PROGRESS),
    "done": ("Done", "Done", DONE),
}
# By key, or by name as in Jira's own exports.
CATEGORY_WORDS = {key: key for key in CATEGORIES} | {"to do": "new", "in progress": "indeterminate"}
STATES = {state: state for state in ("open", "closed", "merged")}
HIERARCHY = {"Epic": 1, "Sub-task": -1, "Subtask": -1, "Technical task": -1}
SPLITS = ("train", "val", "test")


@dataclass
class Client:
    """What one project or repository of an export holds, in the platform's columns but for the ids.

    `folder`: that in the export that it is from, empty for a file beside the folders; `part`: the folder, or the file.
    `issues` has `issuetype`, `status` and `category` by name; `changelog` has the issue's `key` and statuses by name;
    `commits` has the pull request's `number`.
    """

    folder: str
    part: str
    project: str
    layout: Layout
    issues: pd.DataFrame = field(default_factory=pd.DataFrame)
    changelog: pd.DataFrame = field(default_factory=pd.DataFrame)
    pull_requests: pd.DataFrame = field(default_factory=pd.DataFrame)
    commits: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def clock(self) -> datetime:
        """The last moment of which anything is known."""
        frames = [self.issues, self.changelog, self.pull_requests]
        stamps = [frame.select_dtypes("datetime").max().max() for frame in frames if not frame.empty]
        return max(stamp for stamp in stamps if pd.notna(stamp)).to_pydatetime()


def load_exports(dsn: str, clients: list[Client]) -> list[LoadedClient]:
    """Fill the platform's empty tables with clients that `read` has found."""
    book = Book(end=0)
    clocks = {write(book, client, name): client.clock for client, name in zip(clients, names(clients), strict=True)}
    return load(dsn, book.tables(), clocks)


def read(folder: Path, *, today: datetime | None = None, say: Callable[[str], None] = log.warning) -> list[Client]:
    """The clients in a folder of exports, everything checked.

    `say` is told, a line at a time, what was left out or had to be decided. Raises ExportError with what is wrong.
    """
    problems = Problems()
    clients: list[Client] = []
    for sheet in sheets(folder, problems, utc(today or datetime.now(UTC))):
        if sheet.left_out:
            columns = " and ".join(sheet.own[name] for name in sheet.layout.identity)
            say(f"{sheet.name}: left out {sheet.left_out} rows without {columns}: they hold no record")
        if sheet.layout is CHANGELOGS:
            read_changelog(sheet, clients)
        else:
            for client in (read_pull_requests if sheet.layout in (PULL_REQUESTS, GITHUB) else read_issues)(sheet):
                add(clients, client, problems, say)
        if sheet.decided:
            say(f"{sheet.name}: {sheet.decided}")
    problems.check()
    if not clients:
        raise ExportError([f"{folder}: the files have no rows"])
    return clients


def sheets(folder: Path, problems: Problems, latest: datetime) -> list[Sheet]:
    """The files in a folder and in the folders in it, in the order in which they are read."""
    paths = sorted(path for path in [*folder.glob("*"), *folder.glob("*/*")] if path.name.endswith(SUFFIXES))
    # Hidden ones are left: `._x.csv` is what a Mac adds to `x.csv` in an archive or on a network drive.
    paths = [path for path in paths if not f"/{path.relative_to(folder)}".count("/.") and path.is_file()]
    parts = ", ".join(f"{layout.part}/" for layout in LAYOUTS)
    if not paths:
        problems.add(f"{folder}: has no .csv, .tsv or .json file, nor has a folder in it (such as {parts})")
    found = []
    for path in paths:
        name = path.relative_to(folder).as_posix()
        frame = content(path, name, problems)
        layout = None if frame is None else recognise(frame, name, problems)
        if layout:
            found.append(Sheet(name, frame, layout, problems, latest))
    return sorted(found, key=lambda sheet: LAYOUTS.index(sheet.layout))


def recognise(frame: pd.DataFrame, name: str, problems: Problems) -> Layout | None:
    """The layout whose columns the header has; a problem if it has those of none."""
    if frame.columns.empty:
        return None  # a list of nothing
    header = {str(column).strip().casefold() for column in frame.columns}
    # The first without a gap; else the likeliest, which is the one that the folder is named after if there are several.
    layout = min(LAYOUTS, key=lambda one: (one.gap(header), not name.startswith(f"{one.part}/")))
    missing = layout.missing(header)
    if not missing:
        return layout
    found = ", ".join(map(str, frame.columns))
    if layout.gap(header) < 0.5 or name.startswith(f"{layout.part}/"):
        problems.add(f"{name}: row 1: no column {', '.join(missing)}; it has {found}")
    else:
        kinds = "; ".join(f"{one.part}: {', '.join(one.required.values())}" for one in LAYOUTS)
        problems.add(f"{name}: row 1: a header of no export that is known; it has {found}. Known are {kinds}")
    return None


def names(clients: list[Client]) -> list[str]:
    """A name for every client: its project, and where several have the same project, which part it is from."""
    known = Counter(client.project.casefold() for client in clients)
    return [
        client.project if known[client.project.casefold()] == 1 else f"{client.project} ({client.part})"
        for client in clients
    ]


def read_issues(sheet: Sheet) -> Iterable[Client]:
    sheet.unique("project", "key")
    if "split_mark" in sheet.rows:
        # The marks follow the order of creation, of which the rows' order is all that is left.
        order = sheet.one_of("split_mark", {mark: at for at, mark in enumerate(SPLITS)})
        sheet.complain(order.diff() < 0, "split_mark", "rows must be in order of creation: train, val, test")
    completed, sprint = sheet.moments("resolutiondate"), sheet.moments("first_sprint_start")
    made_up = pd.date_range(end=MADE_UP_END, periods=len(sheet.rows), freq=MADE_UP_STEP, unit="us")
    created = sheet.moments("created") if "created" in sheet.rows else pd.Series(made_up, index=sheet.rows.index)
    category = resolved(pd.DataFrame({"resolutiondate": completed}), "done", "new")
    issues = pd.DataFrame(
        {
            "project": sheet.text("project"),
            "key": sheet.text("key"),
            "issuetype": sheet.text("issuetype"),
            "summary": sheet.text("summary"),
            "custom_field_01": sheet.text("description"),
            "status": sheet.text("status"),
            "category": sheet.one_of("status_category", CATEGORY_WORDS).fillna(pd.Series(category, completed.index)),
            "resolution": sheet.text("resolution"),
            "story_points": sheet.whole("story_points"),
            "parent_external_id": sheet.text("epic_key").fillna(sheet.text("parent")),
            "created": created,
            "updated": sheet.moments("updated"),
            # An issue that joins a running sprint starts when it is made; one that is planned after its end, never.
            "work_first_started_at": sprint.where(sprint > created, created).where(
                sprint.notna() & ~(sprint > completed)
            ),
            "work_last_completed_at": completed,
        }
    )
    for project, group in issues.groupby("project"):
        group = group.drop(columns="project").reset_index(drop=True)
        yield Client(sheet.folder, sheet.part, project, sheet.layout, issues=group)


def read_changelog(sheet: Sheet, clients: list[Client]) -> None:
    """Give the rows to the clients of their issues, which have statuses and true times."""
    owners = {
        key: at for at, client in enumerate(clients) if client.layout in (PLAIN, JIRA) for key in client.issues["key"]
    }
    rows = pd.DataFrame(
        {
            "key": sheet.text("key"),
            "from": sheet.text("from"),
            "to": sheet.text("to"),
            "transition_change_date": sheet.moments("at"),
        }
    )
    sheet.complain(rows["key"].notna() & ~rows["key"].isin(owners), "key", "is no issue of the other files")
    for at, group in rows.groupby(rows["key"].map(owners)):
        clients[at].changelog = pd.concat([clients[at].changelog, group], ignore_index=True)


def read_pull_requests(sheet: Sheet) -> Iterable[Client]:
    sheet.unique("repo", "number")
    state, merged_at = sheet.one_of("state", STATES), sheet.moments("merged_at")
    is_merged = sheet.flags("merged") | (state == "merged")
    sheet.complain(is_merged & sheet.text("merged_at").isna(), "merged_at", "must have a value where merged is true")
    pull_requests = pd.DataFrame(
        {
            "repo": sheet.text("repo"),
            "number": sheet.whole("number"),
            "name": sheet.text("title"),
            "user_name": sheet.text("author"),
            "status": np.where(is_merged, "merged", state),
            "pr_created_at": sheet.moments("created_at"),
            "first_review_at": sheet.moments("first_review_at"),
            "merged_at": merged_at.where(is_merged),
            "closed_at": sheet.moments("closed_at"),
            **{name: sheet.whole(name) for name in COUNTS},
            "before": sheet.whole("n_commits_authored_before_open"),
            "authored": sheet.rows.get("authored"),
        }
    )
    for repo, group in pull_requests.groupby("repo"):
        group = group.drop(columns="repo").reset_index(drop=True)
        before, authored = group.pop("before"), group.pop("authored")
        client = Client(sheet.folder, sheet.part, repo, sheet.layout, pull_requests=group)
        client.commits = made_up_commits(group, before)
        if "authored" in sheet.rows:
            known = pd.DataFrame({"number": group["number"], "committed_date": authored}).explode("committed_date")
            known["committed_date"] = pd.to_datetime(known["committed_date"], utc=True).dt.tz_localize(None)
            client.commits = known.dropna().astype({"committed_date": "datetime64[us]"})
        yield client


def made_up_commits(pull_requests: pd.DataFrame, before: pd.Series) -> pd.DataFrame:
    """One row per commit, so that as many as the export counts are there when the pull request opens.

    The export has their number only: those before are a minute apart and end with the opening, the others come with the
    first review, or with the end, or a second after the opening.
    """
    opened = pull_requests["pr_created_at"]
    early = before.fillna(0).clip(lower=0).to_numpy(dtype=int)
    late = (pull_requests["commit_count"].fillna(0).to_numpy(dtype=int) - early).clip(min=0)
    # Without the number at opening nothing is known of when the commits came.
    late = np.where(before.isna(), 0, late)
    second = opened + pd.Timedelta(seconds=1)
    afterwards = pull_requests["first_review_at"].fillna(pull_requests["closed_at"]).fillna(second)
    afterwards = np.maximum(afterwards, second)
    nth = np.concatenate([np.arange(count) for count in early]) if len(early) else np.array([], dtype=int)
    committed = pd.concat(
        [
            (opened.repeat(early).reset_index(drop=True) - pd.to_timedelta(nth, unit="min")),
            afterwards.repeat(late).reset_index(drop=True),
        ],
        ignore_index=True,
    )
    numbers = pull_requests["number"]
    number = pd.concat([numbers.repeat(early), numbers.repeat(late)], ignore_index=True)
    return pd.DataFrame({"number": number, "committed_date": committed.astype("datetime64[us]")})


def add(clients: list[Client], client: Client, problems: Problems, say: Callable[[str], None]) -> None:
    """A project that goes on in a second file is the same client.

    The files in one folder must not overlap; of files beside the folders, those that do are exports of their own.
    """
    for known in clients:
        if (known.folder, known.project) != (client.folder, client.project):
            continue
        shared = [
            f"{column} {value!r}"
            for frame, more, column in (
                (known.issues, client.issues, "key"),
                (known.pull_requests, client.pull_requests, "number"),
            )
            for value in sorted(set(frame.get(column, ())) & set(more.get(column, ())), key=str)
        ]
        if shared and not client.folder:
            say(f"{client.part}: a client of its own: {client.project} of {known.part} has {shared[0]} too")
            continue
        for one in shared:
            problems.add(f"{client.folder}/: {client.project}: {one} is in two files")
        for name in ("issues", "pull_requests", "commits"):
            setattr(known, name, pd.concat([getattr(known, name), getattr(client, name)], ignore_index=True))
        return
    clients.append(client)


def write(book: Book, client: Client, name: str) -> int:
    """Write one client down; its id."""
    frames = [client.issues.get("created"), client.pull_requests.get("pr_created_at")]
    began = min(frame.min() for frame in frames if frame is not None)
    stamps = {"created_at": began, "last_updated_at": began}
    client_id = int(book.add("clients", {"name": [name]} | stamps)[0])
    source = "GITHUB" if client.issues.empty else "JIRA"
    ours = {"client_id": client_id} | stamps
    integration = book.add("integrations", {"name": [source], "last_sync_at": [pd.Timestamp(client.clock)]} | ours)[0]
    theirs = ours | {"integration_id": integration}
    if not client.issues.empty:
        write_issues(book, client, theirs)
    if not client.pull_requests.empty:
        write_pull_requests(book, client, theirs)
    return client_id


def write_issues(book: Book, client: Client, theirs: dict[str, object]) -> None:
    issues = client.issues
    project = book.add(
        "projects",
        {"external_id": [client.project], "key": [client.project], "name": [client.project]} | theirs,
    )[0]
    issuetypes = write_types(book, sorted(issues["issuetype"].unique()), theirs)
    categories = dict(zip(issues["status"], issues["category"], strict=True))
    if not client.changelog.empty:
        # Of statuses that no issue has at the end, those that issues began with are new, the others work in progress.
        log = client.changelog.sort_values("transition_change_date", kind="stable")
        first = log.groupby("key")["from"].first()
        categories = dict.fromkeys(log["to"], "indeterminate") | dict.fromkeys(first, "new") | categories
        categories = dict.fromkeys(log["from"], "indeterminate") | categories
    statuses = write_statuses(book, categories, theirs)
    book.link("projects_issuetypes", {"project_id": project, "issuetype_id": list(issuetypes.values())})
    book.link("projects_statuses", {"project_id": project, "status_id": list(statuses.values())})

    completed = issues.get("work_last_completed_at", pd.Series(pd.NaT, index=issues.index))
    started = issues.get("work_first_started_at", pd.Series(pd.NaT, index=issues.index))
    is_completed, is_started = completed.notna(), started.notna()
    values = {
        "external_id": issues["key"],
        **{column: issues[column] for column in issues if column not in ("issuetype", "status", "category")},
        "project_id": project,
        "issuetype_id": issues["issuetype"].map(issuetypes),
        "status_id": issues["status"].map(statuses),
        "work_first_started_at": started,
        "work_last_started_at": started,
        "work_first_completed_at": completed,
        "work_last_completed_at": completed,
        "total_work_starts": is_started.astype(int),
        "total_completions": is_completed.astype(int),
        "total_cycle_time_seconds": (completed - started).dt.total_seconds(),
        "total_lead_time_seconds": (completed - issues["created"]).dt.total_seconds(),
        "direct_completion": is_completed & ~is_started,
    }
    changes = positioned(client, categories)
    if not changes.empty:
        values = with_changelog(values, changes)
    written = issues.select_dtypes("datetime").max(axis=1)
    ids = book.add("issues", values | theirs | {"created_at": issues["created"], "last_updated_at": written})
    if not changes.empty:
        at = changes["transition_change_date"]
        book.add(
            "issue_changelogs",
            {
                "issue_id": ids.to_numpy()[changes["issue"]],
                "from_status_id": changes["from_name"].map(statuses),
                "to_status_id": changes["to_name"].map(statuses),
                "transition_start_date": changes["transition_start_date"],
                "transition_change_date": at,
                "time_in_status_seconds": (at - changes["transition_start_date"]).dt.total_seconds(),
            }
            | theirs
            | {"created_at": at, "last_updated_at": at},
        )


def positioned(client: Client, categories: dict[str, str]) -> pd.DataFrame:
    """The changelog in order, by the position of its issue, with steps and seconds for `from_changelog` to count."""
    if client.changelog.empty:
        return client.changelog
    issues = client.issues
    at = pd.Series(issues.index, index=issues["key"])
    rows = client.changelog.rename(columns={"from": "from_name", "to": "to_name"})
    rows["issue"] = rows["key"].map(at)
    rows = rows.sort_values(["issue", "transition_change_date"], kind="stable").reset_index(drop=True)
    start = rows.groupby("issue")["transition_change_date"].shift(1)
    rows["transition_start_date"] = start.fillna(rows["issue"].map(issues["created"]))
    for name in ("from", "to"):
        rows[name] = rows[f"{name}_name"].map(lambda status: CATEGORIES[categories[status]][2])
    for name, column in (("start", "transition_start_date"), ("change", "transition_change_date")):
        rows[name] = rows[column].to_numpy("datetime64[s]").astype("int64")
    return rows


def with_changelog(values: dict[str, object], changes: pd.DataFrame) -> dict[str, object]:
    """The values, and for issues that have a changelog those that the platform computes from it."""
    created = values["created"]
    lives = pd.DataFrame({"created": created.to_numpy("datetime64[s]").astype("int64")})
    counted = from_changelog(lives, changes)
    counted.pop("step")
    has = pd.Series(created.index.isin(changes["issue"]), index=created.index)
    empty = pd.Series(None, index=created.index, dtype=object)
    return values | {
        name: pd.Series(column, index=created.index).where(has, values.get(name, empty))
        for name, column in counted.items()
    }


def write_types(book: Book, found: list[str], theirs: dict[str, object]) -> dict[str, int]:
    levels = [HIERARCHY.get(name, 0) for name in found]
    hierarchies = {
        level: book.add("issuetype_hierarchies", {"level_name": [title], "level_number": level} | theirs)[0]
        for title, level in (("Epic", 1), ("Story", 0), ("Sub-task", -1))
        if level in levels
    }
    mappings = book.add(
        "issuetype_mappings",
        {
            "issuetype_from": found,
            "issuetype_to": found,
            "issuetype_hierarchy_id": [hierarchies[level] for level in levels],
        }
        | theirs,
    )
    ids = book.add(
        "issuetypes", {"original_name": found, "issuetype_mapping_id": mappings, "hierarchy_level": levels} | theirs
    )
    return dict(zip(found, ids.tolist(), strict=True))


def write_statuses(book: Book, categories: dict[str, str], theirs: dict[str, object]) -> dict[str, int]:
    found = sorted(categories)
    steps = {
        category: book.add(
            "workflows", {"step_name": [step], "step_number": at, "step_category": platform_category} | theirs
        )[0]
        for at, (category, (step, platform_category, _)) in enumerate(CATEGORIES.items(), start=1)
        if category in categories.values()
    }
    mapped = [CATEGORIES[categories[name]] for name in found]
    mappings = book.add(
        "status_mappings",
        {
            "status_from": found,
            "status_to": [step for step, _, _ in mapped],
            "status_category": [category for _, category, _ in mapped],
            "workflow_id": [steps[categories[name]] for name in found],
        }
        | theirs,
    )
    ids = book.add(
        "statuses",
        {
            "original_name": found,
            "status_mapping_id": mappings,
            "category": [category for _, category, _ in mapped],
        }
        | theirs,
    )
    return dict(zip(found, ids.tolist(), strict=True))


def write_pull_requests(book: Book, client: Client, theirs: dict[str, object]) -> None:
    pull_requests = client.pull_requests
    repository = book.add(
        "repositories",
        {
            "external_id": [client.project],
            "name": [client.project.rsplit("/", 1)[-1]],
            "full_name": [client.project],
        }
        | theirs,
    )[0]
    opened = pull_requests["pr_created_at"]
    updated = pull_requests.select_dtypes("datetime").max(axis=1)
    ids = book.add(
        "pull_requests",
        {
            "external_id": pull_requests["number"].astype(str),
            "external_repo_id": client.project,
            "repository_id": repository,
            **{column: pull_requests[column] for column in pull_requests},
            "pr_updated_at": updated,
        }
        | theirs
        | {"created_at": opened, "last_updated_at": updated},
    )
    of_number = dict(zip(pull_requests["number"], ids, strict=True))
    if not client.commits.empty:
        at = client.commits["committed_date"]
        book.add(
            "pull_request_commits",
            {
                "pull_request_id": client.commits["number"].map(of_number).astype(int),
                "authored_date": at,
                "committed_date": at,
            }
            | theirs
            | {"created_at": at, "last_updated_at": at},
        )
