"""CSV exports as the platform's tables: one project (or repository) is one client. docs/data.md has the mapping.

What exports cannot tell is left empty or made up as that page says; what is snapshot of an issue's end (comments,
assignee, priority, labels) is left out, for nobody could have known it in time.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from demo.book import Book
from demo.issues import BACKLOG, DONE, IN_PROGRESS, from_changelog
from demo.sheets import ExportError, Problems, Sheet
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
HIERARCHY = {"Epic": 1, "Sub-task": -1, "Technical task": -1}
SPLITS = ("train", "val", "test")


@dataclass
class Client:
    """What one project or repository of an export holds, in the platform's columns but for the ids.

    `issues` has `issuetype`, `status` and `category` by name; `changelog` has the issue's `key` and statuses by name;
    `commits` has the pull request's `number`.
    """

    part: str
    project: str
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


@dataclass(frozen=True)
class Export:
    """A folder of exports while it is read."""

    folder: Path
    problems: Problems
    latest: datetime
    say: Callable[[str], None]

    def sheets(self, part: str, *, required: Collection[str], identity: Collection[str]) -> Iterator[Sheet]:
        paths = sorted(path for path in (self.folder / part).iterdir() if path.name.endswith((".csv", ".csv.gz")))
        if not paths:
            self.problems.add(f"{part}/: no .csv or .csv.gz file in it")
        for path in paths:
            sheet = Sheet(
                self.folder, path, self.problems, required=required, identity=list(identity), latest=self.latest
            )
            if sheet.left_out:
                columns = " and ".join(identity)
                self.say(f"{sheet.name}: left out {sheet.left_out} rows without {columns}: they hold no record")
            if sheet.complete:
                yield sheet


def load_exports(
    dsn: str,
    folder: Path | str,
    *,
    parts: Collection[str] | None = None,
    today: datetime | None = None,
    say: Callable[[str], None] = log.warning,
) -> list[LoadedClient]:
    """Fill the platform's empty tables with the CSV exports in a folder.

    `parts` limits what is read to some of the sub-folders of `PARTS`; `say` is told, a line at a time, what was left
    out. Raises ExportError with everything that is wrong before anything is written.
    """
    clients = read(Path(folder), parts=parts, today=today, say=say)
    book = Book(end=0)
    clocks = {}
    for client, name in zip(clients, names(clients), strict=True):
        clocks[write(book, client, name)] = client.clock
    return load(dsn, book.tables(), clocks)


def read(
    folder: Path,
    *,
    parts: Collection[str] | None = None,
    today: datetime | None = None,
    say: Callable[[str], None] = log.warning,
) -> list[Client]:
    """The clients in a folder of exports."""
    wanted = list(PARTS) if parts is None else list(parts)
    unknown = set(wanted) - set(PARTS)
    if unknown:
        raise ExportError([f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}"])
    present = [part for part in PARTS if part in wanted and (folder / part).is_dir()]
    if not present:
        raise ExportError([f"{folder}: has none of the folders {', '.join(f'{part}/' for part in wanted)}"])
    export = Export(folder, Problems(), utc(today or datetime.now(UTC)), say)
    clients: list[Client] = []
    for part in present:
        PARTS[part](export, clients)
    export.problems.check()
    if not clients:
        raise ExportError([f"{folder}: the files have no rows"])
    return clients


def names(clients: list[Client]) -> list[str]:
    """A name for every client: its project, and where two parts know the same project, which part it is from."""
    known = Counter(client.project.casefold() for client in clients)
    return [
        client.project if known[client.project.casefold()] == 1 else f"{client.project} ({client.part})"
        for client in clients
    ]


def read_story_points(export: Export, clients: list[Client]) -> None:
    for sheet in export.sheets(
        "story_points", required=("issuekey", "title", "description", "storypoint"), identity=("issuekey", "title")
    ):
        sheet.unique("issuekey")
        if "split_mark" in sheet.rows:
            # The marks follow the order of creation, of which the rows' order is all that is left.
            order = sheet.one_of("split_mark", SPLITS).map({mark: at for at, mark in enumerate(SPLITS)})
            sheet.complain(order.diff() < 0, "split_mark", "rows must be in order of creation: train, val, test")
        keys, count = sheet.text("issuekey", required=True), len(sheet.rows)
        created = pd.date_range(end=MADE_UP_END, periods=count, freq=MADE_UP_STEP, unit="us")
        issues = pd.DataFrame(
            {
                "key": keys,
                "summary": sheet.text("title"),
                "custom_field_01": sheet.text("description"),
                "story_points": sheet.whole("storypoint", required=True),
                "issuetype": "Story",
                "status": "Open",
                "category": "new",
                "created": created,
            }
        )
        add(export, clients, Client("story_points", sheet.stem, issues))


def read_jira(export: Export, clients: list[Client]) -> None:
    for sheet in export.sheets(
        "jira_tidev",
        required=("key", "project", "issuetype", "summary", "status", "status_category", "created", "resolutiondate"),
        identity=("project", "key"),
    ):
        sheet.unique("key")
        created, completed = sheet.moments("created", required=True), sheet.moments("resolutiondate")
        sprint = sheet.moments("first_sprint_start")
        issues = pd.DataFrame(
            {
                "project": sheet.text("project", required=True),
                "key": sheet.text("key", required=True),
                "issuetype": sheet.text("issuetype", required=True),
                "summary": sheet.text("summary"),
                "custom_field_01": sheet.text("description"),
                "status": sheet.text("status", required=True),
                "category": sheet.one_of("status_category", CATEGORIES),
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
        by_project(export, clients, "jira_tidev", issues)


def read_apache(export: Export, clients: list[Client]) -> None:
    for sheet in export.sheets(
        "apache_bugfix",
        required=("project", "key", "status", "created", "resolutiondate", "summary_words"),
        identity=("project", "key"),
    ):
        sheet.unique("project", "key")
        completed = sheet.moments("resolutiondate")
        issues = pd.DataFrame(
            {
                "project": sheet.text("project", required=True),
                "key": sheet.text("key", required=True),
                "issuetype": "Bug",
                "summary": sheet.text("summary_words"),
                "status": sheet.text("status", required=True),
                "category": np.where(completed.notna(), "done", "new"),
                "created": sheet.moments("created", required=True),
                "work_last_completed_at": completed,
            }
        )
        by_project(export, clients, "apache_bugfix", issues)


def read_agile(export: Export, clients: list[Client]) -> None:
    for sheet in export.sheets(
        "agile_cycle", required=("id", "project", "created_date", "finished_date"), identity=("id", "project")
    ):
        sheet.unique("id")
        completed = sheet.moments("finished_date")
        issues = pd.DataFrame(
            {
                "project": "Project " + sheet.text("project", required=True),
                "key": sheet.text("id", required=True),
                "issuetype": "Task",
                "status": np.where(completed.notna(), "Done", "Open"),
                "category": np.where(completed.notna(), "done", "new"),
                "created": sheet.moments("created_date", required=True),
                "work_last_completed_at": completed,
            }
        )
        by_project(export, clients, "agile_cycle", issues)


def read_changelogs(export: Export, clients: list[Client]) -> None:
    """Changelogs belong to the issues of jira_tidev/, the only ones with statuses and true times."""
    owners = {key: client for client in clients if client.part == "jira_tidev" for key in client.issues["key"]}
    for sheet in export.sheets(
        "changelogs",
        required=("issue_key", "from_status", "to_status", "changed_at"),
        identity=("issue_key", "changed_at"),
    ):
        rows = pd.DataFrame(
            {
                "key": sheet.text("issue_key", required=True),
                "from": sheet.text("from_status", required=True),
                "to": sheet.text("to_status", required=True),
                "transition_change_date": sheet.moments("changed_at", required=True),
            }
        )
        sheet.complain(rows["key"].notna() & ~rows["key"].isin(owners), "issue_key", "is no issue of jira_tidev/")
        for client, group in rows.groupby(rows["key"].map(lambda key: id(owners.get(key)))):
            owner = next((one for one in clients if id(one) == client), None)
            if owner is not None:
                owner.changelog = pd.concat([owner.changelog, group], ignore_index=True)


def read_pull_requests(export: Export, clients: list[Client]) -> None:
    counts = (
        "commit_count",
        "additions",
        "deletions",
        "changed_files",
        "review_comment_count",
        "discussion_comment_count",
        "reviewers",
        "review_cycles",
        "rework_commit_count",
    )
    for sheet in export.sheets(
        "pull_requests",
        required=(
            *("repo", "number", "author", "title", "created_at", "first_review_at", "merged_at", "closed_at", "state"),
            *("merged", "n_commits_authored_before_open", *counts),
        ),
        identity=("repo", "number"),
    ):
        sheet.unique("repo", "number")
        state = sheet.one_of("state", ("open", "closed"))
        is_merged = sheet.one_of("merged", ("0", "1")) == "1"
        merged_at = sheet.moments("merged_at")
        sheet.complain(is_merged & sheet.text("merged_at").isna(), "merged_at", "must have a value where merged is 1")
        pull_requests = pd.DataFrame(
            {
                "repo": sheet.text("repo", required=True),
                "number": sheet.whole("number", required=True),
                "name": sheet.text("title"),
                "user_name": sheet.text("author"),
                "status": np.where(is_merged, "merged", state),
                "pr_created_at": sheet.moments("created_at", required=True),
                "first_review_at": sheet.moments("first_review_at"),
                "merged_at": merged_at.where(is_merged),
                "closed_at": sheet.moments("closed_at"),
                **{name: sheet.whole(name) for name in counts},
                "before": sheet.whole("n_commits_authored_before_open"),
            }
        )
        for repo, group in pull_requests.groupby("repo"):
            group = group.reset_index(drop=True)
            before = group.pop("before")
            client = Client("pull_requests", repo, pull_requests=group.drop(columns="repo"))
            client.commits = made_up_commits(client.pull_requests, before)
            add(export, clients, client)


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


# The folders of an export, in the order in which they are read.
PARTS: dict[str, Callable[[Export, list[Client]], None]] = {
    "story_points": read_story_points,
    "jira_tidev": read_jira,
    "apache_bugfix": read_apache,
    "agile_cycle": read_agile,
    "changelogs": read_changelogs,
    "pull_requests": read_pull_requests,
}


def by_project(export: Export, clients: list[Client], part: str, issues: pd.DataFrame) -> None:
    for project, group in issues.groupby("project"):
        add(export, clients, Client(part, project, group.drop(columns="project").reset_index(drop=True)))


def add(export: Export, clients: list[Client], client: Client) -> None:
    """A project that goes on in a second file of the same part is the same client."""
    if client.issues.empty and client.pull_requests.empty:
        return
    for known in clients:
        if (known.part, known.project) == (client.part, client.project):
            for frame, more, name in (
                (known.issues, client.issues, "key"),
                (known.pull_requests, client.pull_requests, "number"),
            ):
                for value in sorted(set(frame.get(name, ())) & set(more.get(name, ())), key=str):
                    export.problems.add(f"{client.part}/: {client.project}: {name} {value!r} is in two files")
            known.issues = pd.concat([known.issues, client.issues], ignore_index=True)
            known.pull_requests = pd.concat([known.pull_requests, client.pull_requests], ignore_index=True)
            known.commits = pd.concat([known.commits, client.commits], ignore_index=True)
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
