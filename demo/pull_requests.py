"""Pull requests of a generated client, with the reviews, commits and comments that their columns are counted from."""

from __future__ import annotations

import numpy as np
import pandas as pd

from demo.book import DAY, HOUR, Book, moments, some, whole
from demo.issues import Setup, uneven
from demo.profiles import Profile
from demo.vocabulary import TITLE_PREFIXES

NEVER = np.inf


def simulate(
    profile: Profile, setup: Setup, rng: np.random.Generator, book: Book, issues: pd.DataFrame
) -> tuple[dict, dict[str, pd.DataFrame]]:
    """Columns of `pull_requests` (without id), and reviews, commits and comments with the position of theirs.

    What leads to rework is there when a pull request opens: its size, who opens it, where, and what the title says.
    Sizes in the table are those at the end: rework adds to them, as it does on GitHub.
    """
    count, end, history = profile.pull_requests, book.end, profile.history_days * DAY
    created = np.sort(np.floor(end - history * rng.random(count) ** 1.15))
    author = rng.choice(len(setup.people), size=count, p=uneven(len(setup.people)))
    repository = rng.choice(len(profile.repositories), size=count, p=uneven(len(profile.repositories)))
    prefix = rng.integers(len(TITLE_PREFIXES), size=count)
    size = rng.normal(0, 1, count)

    habit = 1.1 * spread(len(setup.people), rng)
    strictness = 0.7 * spread(len(profile.repositories), rng)
    warned = np.array(list(TITLE_PREFIXES.values()))[prefix]
    opening = 0.6 * size + habit[author] + strictness[repository] + 0.8 * warned
    opening -= opening.mean()
    # Reviewing gets stricter over the months, in waves.
    years = (created - (end - history)) / (365 * DAY)
    risk = profile.opening_tells * opening + 0.2 * years + 0.2 * np.sin(4 * years) + rng.normal(0, 1.0, count)

    reviewed = rng.random(count) > 0.1
    rounds = np.where(reviewed, 1 + np.floor(np.exp(np.clip(0.75 * risk - 0.25, -3, 2.3))), 0).astype(int)
    wait = HOUR * np.exp(rng.normal(1.6, 1.3, count))
    reviews = rows_of(rounds)
    gap = HOUR * np.exp(rng.normal(2.2, 1.1, len(reviews)))
    gap = np.where(reviews["nth"] == 0, wait[reviews["position"]], gap)
    reviews["at"] = np.floor(created[reviews["position"]] + pd.Series(gap).groupby(reviews["position"]).cumsum())
    last_review = reviews.groupby("position")["at"].max().reindex(range(count)).fillna(pd.Series(created)).to_numpy()
    finished = np.floor(last_review + HOUR * np.exp(rng.normal(0.7, 1.2, count)))
    finished = np.where(rng.random(count) < 0.02, NEVER, finished)
    merging = rng.random(count) > 0.08

    # Each round but the last asks for changes, which are answered with commits before the next one.
    is_last = reviews["nth"] == rounds[reviews["position"]] - 1
    answers = np.where(is_last, rng.poisson(0.15, len(reviews)), 1 + rng.poisson(0.5, len(reviews)))
    until = reviews.groupby("position")["at"].shift(-1).to_numpy()
    until = np.where(np.isnan(until), np.minimum(finished[reviews["position"]], end + DAY), until)
    answered = rows_of(answers)
    asked = reviews["at"].to_numpy()[answered["position"]]
    room = np.maximum(until[answered["position"]] - asked, 2)
    rework = pd.DataFrame(
        {
            "position": reviews["position"].to_numpy()[answered["position"]],
            "at": np.floor(asked + 1 + (room - 1) * rng.random(len(answered))),
        }
    )
    first = rows_of(1 + rng.poisson(np.exp(0.3 + 0.45 * size)).clip(0, 25))
    first["at"] = np.floor(created[first["position"]] - HOUR * rng.exponential(20, len(first)))
    commits = pd.concat([first[["position", "at"]], rework], ignore_index=True).sort_values(["position", "at"])

    talk = rows_of(rng.poisson(0.8 + 0.9 * rounds))
    span = np.minimum(finished, end)[talk["position"]] - created[talk["position"]]
    talk["at"] = np.floor(created[talk["position"]] + span * rng.random(len(talk)))

    # Here time stops.
    reviews, commits, talk = (one[one["at"] <= end].reset_index(drop=True) for one in (reviews, commits, talk))
    finished = np.where(finished <= end, finished, np.nan)
    open_still = np.isnan(finished)
    is_merged = ~open_still & merging

    per_pull_request = {"minlength": count}
    review_count = np.bincount(reviews["position"], **per_pull_request)
    first_review = reviews.groupby("position")["at"].min().reindex(range(count)).to_numpy()
    late = commits["at"].to_numpy() > first_review[commits["position"]]
    rework_count = np.bincount(commits["position"][late], **per_pull_request)
    is_inline = rng.random(len(talk)) < 0.65
    login = reviewer_logins(reviews, author, setup, rng)
    reviewers = pd.Series(login).groupby(reviews["position"]).nunique()
    # Some accounts are deleted by now.
    user = some(np.array(setup.people, dtype=object)[author], rng.random(count) > 0.01)

    grown = 1 + 0.05 * rework_count
    additions = np.round(45 * np.exp(1.25 * size) * grown) + 1
    deletions = np.round(additions * rng.beta(1.2, 3, count))
    files = np.maximum(1, np.round(2.2 * np.exp(0.7 * size + rng.normal(0, 0.3, count)) * np.sqrt(grown)))
    linked, issue = linked_issues(issues, created, rng)
    keys = np.array(issues["key"].to_numpy())[issue]
    summaries = np.array(issues["summary"].to_numpy())[issue]
    opened = np.array(list(TITLE_PREFIXES), dtype=object)[prefix]
    titles = [
        " ".join(word for word in (start, f"[{key}]" if has else "", text) if word)
        for start, has, key, text in zip(opened, linked, keys, summaries, strict=True)
    ]
    numbers = pd.Series(repository).groupby(repository).cumcount().to_numpy() + 1
    last = pd.concat([reviews[["position", "at"]], commits, talk[["position", "at"]]]).groupby("position")["at"].max()
    last = last.reindex(range(count)).fillna(pd.Series(created)).to_numpy()
    updated = np.fmax(np.fmax(created, last), finished)
    names = np.array([name for name, _ in profile.repositories], dtype=object)[repository]
    values = {
        "external_id": [f"{setup.client_id}{700_000 + at}" for at in range(count)],
        "external_repo_id": [f"{setup.client_id}{900 + at}" for at in repository],
        "issue_id": whole(issues["id"].to_numpy()[issue], linked),
        "number": numbers,
        "name": titles,
        "user_name": user,
        "body": some(np.where(linked, "See " + keys, "As discussed."), rng.random(count) > 0.3),
        "discussion_comment_count": np.bincount(talk["position"][~is_inline], **per_pull_request),
        "review_comment_count": np.bincount(talk["position"][is_inline], **per_pull_request),
        "source": [f"work/{repo}-{number}" for repo, number in zip(names, numbers, strict=True)],
        "destination": "main",
        "reviewers": reviewers.reindex(range(count), fill_value=0),
        "status": np.where(open_still, "open", np.where(is_merged, "merged", "closed")),
        "url": [f"{profile.website}/{repo}/pull/{number}" for repo, number in zip(names, numbers, strict=True)],
        "pr_created_at": moments(created),
        "pr_updated_at": moments(updated),
        "closed_at": moments(finished),
        "merged_at": moments(finished, is_merged),
        "merged_by": some(rng.choice(setup.people, size=count), is_merged),
        "commit_count": np.bincount(commits["position"], **per_pull_request),
        "additions": additions.astype(int),
        "deletions": deletions.astype(int),
        "changed_files": files.astype(int),
        "first_review_at": moments(first_review),
        "rework_commit_count": whole(rework_count),
        "review_cycles": whole(review_count),
        "integration_id": setup.github,
        "client_id": setup.client_id,
        "active": rng.random(count) > 0.01,
        "created_at": moments(book.written(created)),
        "last_updated_at": moments(book.written(updated)),
    }
    merged_round = (reviews["nth"] == rounds[reviews["position"]] - 1) & merging[reviews["position"]]
    reviews["author_login"] = login
    reviews["state"] = np.where(
        merged_round, "APPROVED", np.where(rng.random(len(reviews)) < 0.8, "CHANGES_REQUESTED", "COMMENTED")
    )
    commits["author_name"] = np.array(setup.people, dtype=object)[author][commits["position"]]
    commits["message"] = np.where(late, "Answer the review", "Work")
    talk["author_login"] = rng.choice(setup.people, size=len(talk))
    talk["comment_type"] = np.where(is_inline, "review", "issue")
    values["repository"] = repository
    return values, {"reviews": reviews, "commits": commits.reset_index(drop=True), "comments": talk}


def write(
    book: Book, setup: Setup, values: dict, events: dict[str, pd.DataFrame], repositories: np.ndarray, names: list[str]
) -> None:
    """Write pull requests and what belongs to them down."""
    repository = values.pop("repository")
    ids = book.add("pull_requests", {"repository_id": repositories[repository], **values}).to_numpy()
    reviews, commits, comments = events["reviews"], events["commits"], events["comments"]

    def rows(frame: pd.DataFrame, first: int) -> dict[str, object]:
        written = moments(book.written(frame["at"]))
        return {
            "external_id": [f"{setup.client_id}{first + at}" for at in range(len(frame))],
            "pull_request_id": ids[frame["position"]],
            "integration_id": setup.github,
            "client_id": setup.client_id,
            "created_at": written,
            "last_updated_at": written,
        }

    book.add(
        "pull_request_reviews",
        rows(reviews, 1_000_000)
        | {"author_login": reviews["author_login"], "state": reviews["state"], "submitted_at": moments(reviews["at"])},
    )
    book.add(
        "pull_request_commits",
        rows(commits, 2_000_000)
        | {
            "author_name": commits["author_name"],
            "author_email": commits["author_name"] + "@mail.example",
            "committer_name": commits["author_name"],
            "message": commits["message"],
            "authored_date": moments(commits["at"]),
            "committed_date": moments(commits["at"]),
        },
    )
    inline = (comments["comment_type"] == "review").to_numpy()
    book.add(
        "pull_request_comments",
        rows(comments, 3_000_000)
        | {
            "author_login": comments["author_login"],
            "body": np.where(inline, "Could this be simpler?", "Thanks!"),
            "comment_type": comments["comment_type"],
            "path": some(np.full(len(comments), "src/main"), inline),
            "line": whole(1 + comments["nth"], inline),
            "created_at_github": moments(comments["at"]),
        },
    )
    linked = values["issue_id"].notna().to_numpy()
    pull_requests = pd.DataFrame(values)[linked]
    book.add(
        "jira_pull_request_links",
        {
            "issue_id": pull_requests["issue_id"].astype(int),
            "external_repo_id": pull_requests["external_repo_id"],
            "repo_full_name": np.array(names, dtype=object)[repository[linked]],
            "pull_request_number": pull_requests["number"],
            "branch_name": pull_requests["source"],
            "pr_status": pull_requests["status"],
            "integration_id": setup.jira,
            "client_id": setup.client_id,
            "created_at": pull_requests["created_at"],
            "last_updated_at": pull_requests["last_updated_at"],
        },
    )


def rows_of(counts: np.ndarray) -> pd.DataFrame:
    """As many rows for each position as `counts` says, numbered from 0 in `nth`."""
    position = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts
    return pd.DataFrame({"position": position, "nth": np.arange(len(position)) - first[position]})


def spread(count: int, rng: np.random.Generator) -> np.ndarray:
    """Effects in even steps, mean 0 and deviation 1, in random order: draws would leave some seeds without any."""
    effects = np.arange(count) - (count - 1) / 2
    return rng.permutation(effects) / (effects.std() or 1.0)


def reviewer_logins(reviews: pd.DataFrame, author: np.ndarray, setup: Setup, rng: np.random.Generator) -> np.ndarray:
    """Who reviewed: one of two colleagues of the author, never the author."""
    people = len(setup.people)
    colleague = 1 + rng.integers(max(1, people - 1), size=len(author))
    second = rng.random(len(reviews)) < 0.25
    steps = colleague[reviews["position"]] + second
    steps = np.where(steps % people == 0, 1, steps)
    return np.array(setup.people, dtype=object)[(author[reviews["position"]] + steps) % people]


def linked_issues(issues: pd.DataFrame, created: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Whether a pull request names an issue, and the position of the one on which work had just started."""
    started = issues["work_first_started_at"].dropna().sort_values(kind="stable")
    if started.empty:
        return np.zeros(len(created), dtype=bool), rng.integers(len(issues), size=len(created))
    at = started.to_numpy("datetime64[s]").astype("int64")
    found = np.searchsorted(at, created, side="right") - 1
    known = (found >= 0) & (rng.random(len(created)) < 0.6)
    return known, started.index.to_numpy()[np.maximum(found, 0)]
