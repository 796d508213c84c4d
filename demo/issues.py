"""Issues of a generated client: lives, texts, points, and the changelog from which the platform's columns follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from demo.book import DAY, Book, moments, some, whole
from demo.profiles import Profile
from demo.vocabulary import Vocabulary

# The steps of a workflow, in order: name, category, whether it is the point of commitment.
STEPS = (
    ("Backlog", "To Do", False),
    ("Committed", "To Do", True),
    ("In Progress", "In Progress", False),
    ("Review", "In Progress", False),
    ("Done", "Done", False),
    ("Discarded", "Discarded", False),
)
BACKLOG, COMMITTED, IN_PROGRESS, REVIEW, DONE, DISCARDED = range(len(STEPS))

# How issues go through the steps, and how often.
PATHS = (
    (0.42, (BACKLOG, COMMITTED, IN_PROGRESS, REVIEW, DONE)),
    (0.16, (BACKLOG, IN_PROGRESS, DONE)),
    (0.11, (BACKLOG, COMMITTED, IN_PROGRESS, REVIEW, IN_PROGRESS, REVIEW, DONE)),
    (0.05, (BACKLOG, COMMITTED, IN_PROGRESS, REVIEW, IN_PROGRESS, REVIEW, IN_PROGRESS, REVIEW, DONE)),
    (0.05, (BACKLOG, COMMITTED, IN_PROGRESS, BACKLOG, COMMITTED, IN_PROGRESS, REVIEW, DONE)),
    (0.06, (BACKLOG, DONE)),
    (0.04, (BACKLOG, COMMITTED, IN_PROGRESS, REVIEW, DONE, IN_PROGRESS, DONE)),
    (0.07, (BACKLOG, DISCARDED)),
    (0.04, (BACKLOG,)),
)
EPIC_PATHS = (
    (0.90, (BACKLOG, IN_PROGRESS, DONE)),
    (0.06, (BACKLOG, DISCARDED)),
    (0.04, (BACKLOG, IN_PROGRESS)),
)
# How long a step lasts beside the others of the same life.
PACE = np.array([3.0, 1.0, 2.0, 0.8, 1.5, 1.0])

# Name, level, what it adds to the log of effort.
ISSUETYPES = (
    ("Epic", 1, 0.0),
    ("Story", 0, 0.15),
    ("Task", 0, -0.1),
    ("Bug", 0, -0.3),
    ("Sub-task", -1, -0.4),
)
EPIC, STORY, TASK, BUG, SUB_TASK = range(len(ISSUETYPES))

POINTS = np.array([1, 2, 3, 5, 8, 13, 21])
EPIC_POINTS = np.array([13, 20, 40, 100])
PRIORITIES = ("Medium", "High", "Low", "Highest", "Lowest")
MONTH = 30 * DAY
# What is left of an issue's points, as a log, once a client has begun to give the same work fewer.
REBASED = -0.4


@dataclass(frozen=True)
class Setup:
    """Ids of a client's own lists, by position: projects, issue types, and statuses per step."""

    client_id: int
    jira: int
    github: int
    projects: np.ndarray
    issuetypes: np.ndarray
    statuses: Sequence[np.ndarray]
    people: Sequence[str]


def simulate(profile: Profile, setup: Setup, rng: np.random.Generator, end: int) -> tuple[dict, pd.DataFrame]:
    """Columns of `issues` (without id) and the changelog, whose `issue` is a position in them."""
    lives, texts = born(profile, rng, end)
    parents = lives["epic"].to_numpy()
    log = journeys(lives, rng, end)
    columns = from_changelog(lives, log)
    started, step = columns["work_first_started_at"].notna(), columns.pop("step")
    completed = columns["work_last_completed_at"].notna()
    count, kind = len(lives), lives["kind"].to_numpy()

    variant = rng.random((count, len(STEPS))) < 0.2
    status_of = status_lookup(setup.statuses, variant)
    log["from_status_id"] = status_of[log["issue"], log["from"]]
    log["to_status_id"] = status_of[log["issue"], log["to"]]

    project = rng.integers(len(setup.projects), size=count)
    project = np.where(parents >= 0, project[parents], project)
    number = pd.Series(project).groupby(project).cumcount().to_numpy() + 1
    keys = np.array([key for key, _ in profile.projects], dtype=object)
    external = np.array([f"{setup.client_id}{10_000 + at}" for at in range(count)], dtype=object)
    # A sub-task hangs under some story or task that was there before.
    elders = np.where(kind == SUB_TASK, -1, parents)
    hosts = np.flatnonzero(np.isin(kind, (STORY, TASK)))
    subs = np.flatnonzero(kind == SUB_TASK)
    before = np.searchsorted(hosts, subs)
    chosen = hosts[np.floor(rng.random(len(subs)) * before).astype(int)]
    elders[subs] = np.where(before > 0, chosen, -1)
    person = rng.choice(len(setup.people), size=count, p=uneven(len(setup.people)))
    comments = rng.poisson(np.where(completed, 3.0, 1.2) + 0.3 * columns["total_work_starts"])
    last_change = log.groupby("issue")["change"].max().reindex(range(count)).fillna(lives["created"]).to_numpy()
    updated = np.minimum(last_change + np.where(comments > 0, rng.exponential(2 * DAY, count), 0), end)
    label_count = rng.integers(0, 3, count)
    pairs = rng.choice(["customer", "tech-debt", "quick-win", "security", "ux"], size=(count, 2))
    labels = [",".join(pair[:used]) for pair, used in zip(pairs, label_count, strict=True)]
    values = {
        "external_id": external,
        "key": [f"{keys[at]}-{one}" for at, one in zip(project, number, strict=True)],
        "project_id": setup.projects[project],
        "team": np.array(profile.teams, dtype=object)[lives["team"]],
        **texts,
        "issuetype_id": setup.issuetypes[kind],
        "status_id": status_of[np.arange(count), step],
        "resolution": some(np.where(step == DONE, "Done", "Won't Do"), np.isin(step, (DONE, DISCARDED))),
        "story_points": pointed(lives, profile, rng, end, committed=started | (step == COMMITTED)),
        "assignee": some(np.array(setup.people, dtype=object)[person], started),
        "assignee_id": whole(person + 1, started),
        "labels": some(labels, label_count > 0),
        "created": moments(lives["created"]),
        "updated": moments(updated),
        "priority": some(rng.choice(PRIORITIES, size=count, p=[0.5, 0.2, 0.17, 0.05, 0.08]), rng.random(count) > 0.06),
        "parent_external_id": some(external[elders], elders >= 0),
        "comment_count": comments,
        **columns,
        "integration_id": setup.jira,
        "client_id": setup.client_id,
        "active": rng.random(count) > 0.01,
    }
    return values, log


def write(book: Book, setup: Setup, values: dict, log: pd.DataFrame) -> pd.Series:
    """Write issues and changelog down; the ids of the issues."""
    created, updated = (values[name].to_numpy("datetime64[s]").astype("int64") for name in ("created", "updated"))
    values["created_at"] = moments(book.written(np.minimum(created, book.end)))
    values["last_updated_at"] = moments(book.written(updated))
    ids = book.add("issues", values)
    written = moments(book.written(log["change"]))
    book.add(
        "issue_changelogs",
        {
            "issue_id": ids.to_numpy()[log["issue"]],
            "external_id": [f"{setup.client_id}{500_000 + at}" for at in range(len(log))],
            "from_status_id": log["from_status_id"].to_numpy(),
            "to_status_id": log["to_status_id"].to_numpy(),
            "transition_start_date": moments(log["start"]),
            "transition_change_date": moments(log["change"]),
            "time_in_status_seconds": (log["change"] - log["start"]).to_numpy(dtype="float64"),
            "changed_by": values["assignee"].fillna("workflow bot").to_numpy()[log["issue"]],
            "integration_id": setup.jira,
            "client_id": setup.client_id,
            "created_at": written,
            "last_updated_at": written,
        },
    )
    return ids


def born(profile: Profile, rng: np.random.Generator, end: int) -> tuple[pd.DataFrame, dict]:
    """Who is created when, oldest first, and their texts.

    A life has its `kind`, `created`, `life` (how long it would last), `team`, `effort` (what its words add to the log
    of it), `scope` (of epics) and `epic`, the position of the one that it belongs to or -1.
    """
    history = profile.history_days * DAY
    epics, children, singles = profile.epics, profile.children, profile.issues
    scope = rng.normal(0, 0.6, epics)
    parent = rng.choice(epics, size=children, p=np.exp(scope) / np.exp(scope).sum())
    kinds = [
        np.full(epics, EPIC),
        rng.choice([STORY, TASK, BUG], size=children, p=[0.6, 0.25, 0.15]),
        rng.choice([STORY, TASK, BUG, SUB_TASK], size=singles, p=[0.38, 0.25, 0.30, 0.07]),
    ]
    kind = np.concatenate(kinds)
    texts, effort = worded(kind, profile.vocabulary, rng)

    created_epics = end - history * rng.random(epics)
    epic_lives = profile.epic_days * DAY * np.exp(0.7 * scope + 0.35 * effort[:epics] + rng.normal(0, 0.55, epics))
    lives = 8 * DAY * np.exp(0.25 * effort[epics:] + rng.normal(0, 1.15, children + singles))
    # Most children are known early, and a child is done before its epic is.
    offset = 0.8 * rng.random(children) ** 2 * epic_lives[parent]
    lives[:children] = np.minimum(lives[:children], 0.97 * (epic_lives[parent] - offset))
    created_singles = end - history * rng.random(singles) ** 1.2
    everyone = pd.DataFrame(
        {
            "kind": kind,
            "created": np.floor(np.concatenate([created_epics, created_epics[parent] + offset, created_singles])),
            "life": np.concatenate([epic_lives, lives]),
            "epic": np.concatenate([np.full(epics, -1), parent, np.full(singles, -1)]),
            "scope": np.concatenate([scope, np.zeros(children + singles)]),
            "effort": effort,
            "team": rng.integers(len(profile.teams), size=len(kind)),
        }
    )
    everyone = everyone[everyone["created"] <= end].sort_values("created", kind="stable")
    position = pd.Series(np.arange(len(everyone)), index=everyone.index)
    everyone["epic"] = everyone["epic"].map(position).fillna(-1).astype(int)
    texts = {name: text[everyone.index].reset_index(drop=True) for name, text in texts.items()}
    return everyone.reset_index(drop=True), texts


def uneven(count: int) -> np.ndarray:
    """Shares of a few that are common and many that are rare."""
    shares = 1 / (np.arange(count) + 3)
    return shares / shares.sum()


def worded(kind: np.ndarray, words: Vocabulary, rng: np.random.Generator) -> tuple[dict, np.ndarray]:
    """The text columns, and what their words add to the log of effort."""
    count, bug = len(kind), kind == BUG
    effort = np.zeros(count)

    def draw(part: dict[str, float], counts: object = True) -> np.ndarray:
        names, weights = np.array(list(part), dtype=object), np.array(list(part.values()))
        picked = rng.choice(len(names), size=count, p=uneven(len(names)))
        effort[:] += np.where(counts, weights[picked], 0.0)
        return names[picked]

    verbs, nouns, places = draw(words.verbs, ~bug), draw(words.nouns), draw(words.places)
    symptoms = draw(words.symptoms, bug)
    summary = np.where(bug, nouns + " " + symptoms + " " + places, verbs + " " + nouns + " " + places)
    detail = np.array([f" ({number})" for number in rng.integers(1, 900, count)], dtype=object)
    summary = np.where(rng.random(count) < 0.2, summary + detail, summary)

    paragraphs = np.full(count, "", dtype=object)
    for chance in (0.62, 0.45, 0.3, 0.2):
        said = rng.random(count) < chance
        paragraphs = np.where(said, paragraphs + draw(words.remarks, said) + "\n", paragraphs)
    tickets = np.array([f"Ref. {number}.\n" for number in rng.integers(1_000, 99_999, count)], dtype=object)
    paragraphs = np.where(rng.random(count) < 0.25, paragraphs + tickets, paragraphs)
    has_area = rng.random(count) < 0.55
    areas = draw(words.areas, has_area)
    texts = {
        "summary": pd.Series(summary),
        "custom_field_01": some([text.rstrip("\n") for text in paragraphs], paragraphs != ""),
        "custom_field_05": some(areas, has_area),
    }
    return texts, effort


def pointed(
    lives: pd.DataFrame, profile: Profile, rng: np.random.Generator, end: int, *, committed: pd.Series
) -> pd.Series:
    """Story points: on the usual scale, skewed, drifting per team, and missing where nobody has estimated yet."""
    count = len(lives)
    months = profile.history_days * DAY // MONTH + 2
    level = np.cumsum(rng.normal(0, profile.team_drift, (months, len(profile.teams))), axis=0)
    age = ((lives["created"] - (end - profile.history_days * DAY)) // MONTH).clip(0, months - 1).astype(int)
    kinds = np.array([effort for _, _, effort in ISSUETYPES])[lives["kind"]]
    effort = 1.1 + profile.words_tell * lives["effort"] + kinds + level[age, lives["team"]]
    effort += np.where(lives["created"] > end - profile.rebased_days_ago * DAY, REBASED, 0.0)
    effort += rng.normal(0, profile.points_noise, count)
    points = POINTS[np.abs(np.log(POINTS)[None, :] - effort.to_numpy()[:, None]).argmin(axis=1)]
    of_epics = EPIC_POINTS[np.clip(np.round(1.2 + lives["scope"]), 0, 3).astype(int)]
    chance = np.select([lives["kind"] == EPIC, lives["kind"] == SUB_TASK, committed], [0.4, 0.15, 0.86], 0.4)
    return whole(np.where(lives["kind"] == EPIC, of_epics, points), rng.random(count) < chance)


def journeys(lives: pd.DataFrame, rng: np.random.Generator, end: int) -> pd.DataFrame:
    """The changelog up to `end`, by issue and time: position of the issue, steps, when the step began and ended."""
    created, life = lives["created"].to_numpy(), lives["life"].to_numpy()
    parts = []
    for paths, members in ((EPIC_PATHS, lives["kind"] == EPIC), (PATHS, lives["kind"] != EPIC)):
        rows = np.flatnonzero(members)
        chosen = rng.choice(len(paths), size=len(rows), p=[share for share, _ in paths])
        for number, (_, path) in enumerate(paths):
            travellers, legs = rows[chosen == number], len(path) - 1
            spent = rng.gamma(1.3, PACE[list(path[:-1])], size=(len(travellers), legs))
            share = np.cumsum(spent, axis=1) / spent.sum(axis=1, keepdims=True)
            change = np.floor(created[travellers, None] + life[travellers, None] * share)
            parts.append(
                pd.DataFrame(
                    {
                        "issue": np.repeat(travellers, legs),
                        "from": np.tile(path[:-1], len(travellers)),
                        "to": np.tile(path[1:], len(travellers)),
                        "start": np.hstack([created[travellers, None], change])[:, :-1].ravel(),
                        "change": change.ravel(),
                    }
                )
            )
    log = pd.concat(parts, ignore_index=True)
    log = log[log["change"] <= end].sort_values(["issue", "change"], kind="stable").reset_index(drop=True)
    return log.astype({"issue": int, "from": int, "to": int})


def from_changelog(lives: pd.DataFrame, log: pd.DataFrame) -> dict:
    """What the platform computes from an issue's changelog, and `step`, where the issue is now."""
    everyone = range(len(lives))

    def when(step: int, which: str) -> pd.Series:
        return log[log["to"] == step].groupby("issue")["change"].agg(which).reindex(everyone)

    def times(rows: pd.Series) -> np.ndarray:
        return log[rows].groupby("issue").size().reindex(everyone, fill_value=0).to_numpy()

    def spent(step: int) -> np.ndarray:
        rows = log[log["from"] == step]
        total = (rows["change"] - rows["start"]).groupby(rows["issue"]).sum()
        return total.reindex(everyone, fill_value=0.0).to_numpy()

    started, completed = when(IN_PROGRESS, "min"), when(DONE, "max")
    starts, completions = times(log["to"] == IN_PROGRESS), times(log["to"] == DONE)
    returns = times((log["to"] == BACKLOG) & (log["from"] != BACKLOG))
    return {
        "work_first_committed_at": moments(when(COMMITTED, "min")),
        "work_first_started_at": moments(started),
        "work_last_started_at": moments(when(IN_PROGRESS, "max")),
        "work_first_completed_at": moments(when(DONE, "min")),
        "work_last_completed_at": moments(completed),
        "total_work_starts": starts,
        "total_completions": completions,
        "total_backlog_returns": returns,
        "total_work_time_seconds": spent(IN_PROGRESS),
        "total_review_time_seconds": spent(REVIEW),
        "total_cycle_time_seconds": (completed - started).to_numpy(),
        "total_lead_time_seconds": (completed - lives["created"]).to_numpy(),
        "workflow_complexity_score": 2 * returns + np.maximum(starts - 1, 0) + np.maximum(completions - 1, 0),
        "rework_indicator": starts > 1,
        "direct_completion": (completions > 0) & (starts == 0),
        "step": log.groupby("issue")["to"].last().reindex(everyone, fill_value=BACKLOG).to_numpy(),
    }


def status_lookup(statuses: Sequence[np.ndarray], variant: np.ndarray) -> np.ndarray:
    """For every issue and step the status that stands for it: where a step has two, an issue uses one of them."""
    columns = [np.where(variant[:, step], ids[-1], ids[0]) for step, ids in enumerate(statuses)]
    return np.column_stack(columns)
