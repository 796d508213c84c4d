"""Three generated clients of the platform, shaped like real ones: skewed points, long tails, drift, gaps and dirt.

Everything is simulated beyond `end` and then cut there: what would happen later is not in the data, so an open item is
one whose end was cut off, and every count and duration agrees with the event rows that are left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from demo import dirt, issues, pull_requests
from demo.book import DAY, HOUR, Book, moments, seconds
from demo.issues import ISSUETYPES, STEPS, Setup
from demo.profiles import PROFILES, Profile

HIERARCHIES = (("Epic", 1), ("Story", 0), ("Sub-task", -1))
FIRST_NAMES = ("ana", "boris", "chen", "dewi", "elif", "femi", "greta", "hugo", "inga", "juan", "kofi", "lena", "mila")


@dataclass(frozen=True)
class Generated:
    """Frames by table, and by the client's name how many rows of each kind of dirt it has."""

    tables: Mapping[str, pd.DataFrame]
    dirt: Mapping[str, Mapping[str, int]]


def generate(*, seed: int, end: datetime) -> Generated:
    """The three clients' history up to `end` (UTC without a zone, whole seconds). The same arguments, the same rows."""
    book = Book(end=seconds(end))
    spoilt = {}
    for client_id, profile in enumerate(PROFILES, start=1):
        # A generator of its own: what one client is like does not depend on how much the others drew.
        spoilt[profile.name] = write_client(profile, client_id, np.random.default_rng([seed, client_id]), book)
    return Generated(book.tables(), spoilt)


def write_client(profile: Profile, client_id: int, rng: np.random.Generator, book: Book) -> dict[str, int]:
    """Write one client down; how many rows of each kind of dirt it has."""
    setup, repositories = write_lists(profile, client_id, rng, book)
    issue_values, log = issues.simulate(profile, setup, rng, book.end)
    spoilt = dirt.soil_issues(issue_values, rng, book.end)
    # Pull requests name issues by the ids that these will have, and issues say whether there are any.
    upcoming = pd.DataFrame({name: issue_values[name] for name in ("key", "summary", "work_first_started_at")})
    upcoming["summary"] = upcoming["summary"].fillna("")
    upcoming["id"] = book.last_ids.get("issues", 0) + 1 + np.arange(len(upcoming))
    values, events = pull_requests.simulate(profile, setup, rng, book, upcoming)
    issue_values["code_changed"] = upcoming["id"].isin(values["issue_id"].dropna().astype(int))
    issues.write(book, setup, issue_values, log)
    spoilt |= dirt.soil_pull_requests(values, rng)
    full_names = [f"{profile.website.removeprefix('https://')}/{name}" for name, _ in profile.repositories]
    pull_requests.write(book, setup, values, events, repositories, full_names)
    return spoilt


def write_lists(profile: Profile, client_id: int, rng: np.random.Generator, book: Book) -> tuple[Setup, np.ndarray]:
    """The client itself, its people, projects, workflow, types and repositories; the ids of the repositories."""
    began = moments(book.end - profile.history_days * DAY)[0]
    synced = moments(book.end)[0]
    stamps = {"created_at": began, "last_updated_at": began}
    ours = {"client_id": client_id} | stamps
    if book.add("clients", {"name": [profile.name], "website": [profile.website]} | stamps)[0] != client_id:
        raise AssertionError("clients are numbered from 1")
    mailbox = profile.website.removeprefix("https://")
    people = [f"{FIRST_NAMES[at % len(FIRST_NAMES)]}.{at:02d}" for at in range(profile.people)]
    users = book.add(
        "users",
        {
            "email": [f"{person}@{mailbox}" for person in people],
            "first_name": [person.split(".")[0].title() for person in people],
            "role": ["admin" if at == 0 else "user" for at in range(len(people))],
            "is_admin": [at == 0 for at in range(len(people))],
        }
        | ours,
    )
    book.add("user_permissions", {"user_id": users, "resource": "dashboard", "action": "read"} | ours)
    jira, github = book.add(
        "integrations",
        {
            "name": ["JIRA", "GITHUB"],
            "url": [f"https://jira.{mailbox}", "https://api.github.com"],
            "last_sync_at": [synced, synced],
        }
        | ours,
    )
    theirs = ours | {"integration_id": jira}
    projects = book.add(
        "projects",
        {
            "external_id": [f"{client_id}{100 + at}" for at in range(len(profile.projects))],
            "key": [key for key, _ in profile.projects],
            "name": [name for _, name in profile.projects],
            "project_type": "software",
        }
        | theirs,
    )
    issuetypes, statuses = write_types(book, theirs), write_workflow(profile, book, theirs)
    for project in projects:
        book.link("projects_issuetypes", {"project_id": project, "issuetype_id": issuetypes})
        book.link("projects_statuses", {"project_id": project, "status_id": np.concatenate(statuses)})
    repositories = book.add(
        "repositories",
        {
            "external_id": [f"{client_id}{900 + at}" for at in range(len(profile.repositories))],
            "name": [name for name, _ in profile.repositories],
            "full_name": [f"{mailbox}/{name}" for name, _ in profile.repositories],
            "language": [language for _, language in profile.repositories],
            "default_branch": "main",
            "pushed_at": synced,
        }
        | ours
        | {"integration_id": github},
    )
    book.add(
        "job_schedules",
        {
            "job_name": ["jira_sync", "github_sync"],
            "status": "FINISHED",
            "last_run_started_at": moments(book.end - rng.integers(60, HOUR, 2)),
            "last_success_at": [synced, synced],
            "integration_id": [jira, github],
        }
        | ours
        | {"last_updated_at": synced},
    )
    setup = Setup(client_id, jira, github, projects.to_numpy(), issuetypes.to_numpy(), statuses, people)
    return setup, repositories.to_numpy()


def write_types(book: Book, theirs: Mapping[str, object]) -> pd.Series:
    hierarchies = book.add(
        "issuetype_hierarchies",
        {"level_name": [name for name, _ in HIERARCHIES], "level_number": [level for _, level in HIERARCHIES]} | theirs,
    )
    at_level = dict(zip([level for _, level in HIERARCHIES], hierarchies, strict=True))
    names, levels = [name for name, _, _ in ISSUETYPES], [level for _, level, _ in ISSUETYPES]
    mappings = book.add(
        "issuetype_mappings",
        {
            "issuetype_from": names,
            "issuetype_to": names,
            "issuetype_hierarchy_id": [at_level[level] for level in levels],
        }
        | theirs,
    )
    return book.add(
        "issuetypes",
        {"original_name": names, "issuetype_mapping_id": mappings, "hierarchy_level": levels} | theirs,
    )


def write_workflow(profile: Profile, book: Book, theirs: Mapping[str, object]) -> list[np.ndarray]:
    """Workflow, mappings and statuses; the ids of the statuses per step."""
    ids = []
    for number, ((step, category, commitment), names) in enumerate(zip(STEPS, profile.statuses, strict=True), start=1):
        workflow = book.add(
            "workflows",
            {
                "step_name": [step],
                "step_number": number,
                "step_category": category,
                "is_commitment_point": commitment,
            }
            | theirs,
        )
        mappings = book.add(
            "status_mappings",
            {
                "status_from": list(names),
                "status_to": step,
                "status_category": category,
                "workflow_id": workflow[0],
            }
            | theirs,
        )
        statuses = book.add(
            "statuses",
            {"original_name": list(names), "status_mapping_id": mappings, "category": category} | theirs,
        )
        ids.append(statuses.to_numpy())
    return ids
