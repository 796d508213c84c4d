"""The kinds of files that an export may hold: what their headers have, and how what they lack is filled in."""

from __future__ import annotations

import numpy as np
import pandas as pd

from demo.sheets import Layout

# Reviews that end a round: others are remarks, or not handed in yet.
VERDICTS = ("APPROVED", "CHANGES_REQUESTED", "DISMISSED")
COUNTS = (
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


def same(*names: str) -> dict[str, str]:
    """Columns that the file calls as we do."""
    return {name: name for name in names}


def resolved(rows: pd.DataFrame, then: str, otherwise: str) -> np.ndarray:
    return np.where(rows["resolutiondate"].notna(), then, otherwise)


def of_jira(rows: pd.DataFrame, _: str) -> pd.DataFrame:
    """Jira names parents by their id, and not every version writes the project's key and the category."""
    rows = rows.reindex(columns=[*JIRA.required, *JIRA.optional]).astype(object)
    keys = rows.dropna(subset=["id"]).drop_duplicates("id").set_index("id")["key"]
    parent = rows["parent"].fillna(rows["parent_id"].map(keys)).fillna(rows["parent_in_cloud"].map(keys))
    return rows.assign(
        project=rows["project"].fillna(rows["key"].str.rpartition("-")[0]),
        parent=parent,
        story_points=rows["story_points"].fillna(rows["estimate"]),
        status_category=rows["status_category"].fillna(pd.Series(resolved(rows, "done", "new"), index=rows.index)),
    )


def of_github(rows: pd.DataFrame, stem: str) -> pd.DataFrame:
    """What `gh` lists, counted: reviews by others than the author, and commits."""
    rows = rows.reindex(columns=[*GITHUB.required, *GITHUB.optional]).astype(object)
    author = rows["author"].map(lambda who: who.get("login") if isinstance(who, dict) else None)
    reviews, commits = listed(rows["reviews"]), listed(rows["commits"])
    reviews = reviews[reviews["submittedAt"].notna() & (reviews["author.login"] != author.reindex(reviews.index))]
    by_row = reviews.groupby(level=0)
    first = by_row["submittedAt"].min()
    late = commits["authoredDate"] > first.reindex(commits.index)

    def counted(found: pd.Series, of: str) -> pd.Series:
        known = rows[of].map(lambda cell: isinstance(cell, list))
        return found.reindex(rows.index, fill_value=0).where(known)

    return rows.assign(
        # The address is the pull request's, of whatever repository it is in.
        repo=rows["url"].str.extract(r"^https?://[^/]+/([^/]+/[^/]+)/pull/")[0].fillna(stem),
        author=author,
        merged=rows["state"].str.casefold() == "merged",
        first_review_at=first.reindex(rows.index),
        reviewers=counted(by_row["author.login"].nunique(), "reviews"),
        review_cycles=counted(reviews["state"].isin(VERDICTS).groupby(level=0).sum(), "reviews"),
        commit_count=counted(commits.groupby(level=0).size(), "commits"),
        rework_commit_count=counted(late.groupby(level=0).sum(), "commits").where(rows["reviews"].notna()),
        authored=commits["authoredDate"].groupby(level=0).agg(list).reindex(rows.index),
    )


def listed(cells: pd.Series) -> pd.DataFrame:
    """The objects in the lists of some cells, each under the index of its cell."""
    found = cells[cells.map(lambda cell: isinstance(cell, list))].explode()
    found = found[found.map(lambda one: isinstance(one, dict))]
    frame = pd.json_normalize(found.tolist()).set_axis(found.index)
    frame = frame.reindex(columns=["author.login", "state", "submittedAt", "authoredDate"]).astype(object)
    for name in ("submittedAt", "authoredDate"):
        frame[name] = pd.to_datetime(frame[name].map(str), utc=True, errors="coerce", format="ISO8601")
    return frame


ISSUE = {
    "identity": ("project", "key"),
    "filled": ("key", "project", "issuetype", "status", "status_category", "created"),
    "dates": ("created", "resolutiondate", "updated", "first_sprint_start"),
}
PULL_REQUEST = {
    "identity": ("repo", "number"),
    "filled": ("repo", "number", "state", "merged", "created_at"),
    "dates": ("created_at", "first_review_at", "merged_at", "closed_at"),
}
STORY_POINTS = Layout(
    "story_points",
    required={"key": "issuekey", "summary": "title", "description": "description", "story_points": "storypoint"},
    optional=same("split_mark"),
    identity=("key", "summary"),
    filled=("key", "story_points", "split_mark"),
    complete=lambda rows, stem: rows.assign(project=stem, issuetype="Story", status="Open"),
)
PLAIN = Layout(
    "jira_tidev",
    required=same(
        *("key", "project", "issuetype", "summary", "status", "status_category", "created", "resolutiondate")
    ),
    optional=same("description", "resolution", "updated", "story_points", "epic_key", "parent", "first_sprint_start"),
    **ISSUE,
)
JIRA = Layout(
    "jira",
    required={
        "key": "Issue key",
        "summary": "Summary",
        "issuetype": "Issue Type",
        "status": "Status",
        "created": "Created",
        "resolutiondate": "Resolved",
    },
    optional={
        "id": "Issue id",
        "project": "Project key",
        "status_category": "Status Category",
        "description": "Description",
        "resolution": "Resolution",
        "updated": "Updated",
        "story_points": "Custom field (Story Points)",
        "estimate": "Custom field (Story point estimate)",
        "epic_key": "Custom field (Epic Link)",
        "parent": "Parent key",
        "parent_id": "Parent id",
        "parent_in_cloud": "Parent",
    },
    complete=of_jira,
    **ISSUE | {"identity": ("key",)},
)
APACHE = Layout(
    "apache_bugfix",
    required=same("project", "key", "status", "created", "resolutiondate") | {"summary": "summary_words"},
    complete=lambda rows, _: rows.assign(issuetype="Bug"),
    **ISSUE,
)
AGILE = Layout(
    "agile_cycle",
    required=same("project") | {"key": "id", "created": "created_date", "resolutiondate": "finished_date"},
    complete=lambda rows, _: rows.assign(
        project="Project " + rows["project"], issuetype="Task", status=resolved(rows, "Done", "Open")
    ),
    **ISSUE,
)
CHANGELOGS = Layout(
    "changelogs",
    required={"key": "issue_key", "from": "from_status", "to": "to_status", "at": "changed_at"},
    identity=("key", "at"),
    filled=("key", "from", "to", "at"),
    dates=("at",),
)
PULL_REQUESTS = Layout(
    "pull_requests",
    required=same(
        *("repo", "number", "author", "title", "created_at", "first_review_at", "merged_at", "closed_at", "state"),
        *("merged", "n_commits_authored_before_open", *COUNTS),
    ),
    **PULL_REQUEST,
)
GITHUB = Layout(
    "github",
    required=same("number", "title", "state")
    | {"created_at": "createdAt", "merged_at": "mergedAt", "closed_at": "closedAt"},
    optional=same("url", "author", "additions", "deletions", "commits", "reviews") | {"changed_files": "changedFiles"},
    complete=of_github,
    **PULL_REQUEST | {"identity": ("number",)},
)
# In the order in which they are read: a changelog is that of issues.
LAYOUTS = (STORY_POINTS, PLAIN, JIRA, APACHE, AGILE, CHANGELOGS, PULL_REQUESTS, GITHUB)
