"""Rows as they should not be, for the checks to find: a handful of every kind in a client that has rows enough."""

from __future__ import annotations

import numpy as np
import pandas as pd

from demo.book import DAY

ENOUGH = 500
NO_SUCH_PROJECT = 999_999


def soil_issues(issues: dict, rng: np.random.Generator, end: int) -> dict[str, int]:
    """Spoil some issues in place; how many rows of each kind."""
    if len(issues["key"]) < ENOUGH:
        return {}
    rows = pd.DataFrame(issues)
    done = rows["work_last_completed_at"].notna() & rows["story_points"].notna()
    unfinished = rows["work_last_completed_at"].isna()
    take = picker(rng)
    now = pd.Timestamp(end, unit="s")

    mirrored = rows["work_last_completed_at"] + (rows["work_last_completed_at"] - rows["created"])
    backwards = take(done & (mirrored <= now), 0.003)
    rows.loc[backwards, "created"] = mirrored[backwards]
    rows.loc[backwards, "total_lead_time_seconds"] *= -1
    future = take(unfinished, 0.004)
    rows.loc[future, "created"] = now + pd.to_timedelta(rng.integers(1, 400, len(future)), unit="D")
    ancient = take(unfinished, 0.002)
    rows.loc[ancient, "created"] = pd.Timestamp("1970-01-01")
    zero, hundred = take(done, 0.006), take(done, 0.006)
    rows.loc[zero, "story_points"] = 0
    rows.loc[hundred, "story_points"] = 100
    empty, missing, short = take(done, 0.006), take(done, 0.004), take(done, 0.006)
    rows.loc[empty, "summary"] = ""
    rows.loc[missing, "summary"] = None
    rows.loc[short, "summary"] = "tbd"
    endless = take(done, 0.0005)
    rows.loc[endless, "summary"] = "Very long " * 2_000
    twins = take(done, 0.003)
    rows.loc[twins, "key"] = rows.loc[np.maximum(twins - 1, 0), "key"].to_numpy()
    orphans = take(done, 0.002)
    rows.loc[orphans, "project_id"] = NO_SUCH_PROJECT
    nameless = take(~done, 0.003)
    rows.loc[nameless, "status_id"] = np.nan
    rows["status_id"] = rows["status_id"].astype("Int64")
    for name in issues:
        issues[name] = rows[name]
    return {
        "issues completed before they were created": len(backwards),
        "issues created in the future": len(future),
        "issues created in 1970": len(ancient),
        "issues of 0 points": len(zero),
        "issues of 100 points": len(hundred),
        "issues without a summary": len(empty) + len(missing),
        "issues with a summary of three letters": len(short),
        "issues with an endless summary": len(endless),
        "issues with another's key": len(twins),
        "issues of a project that is not there": len(orphans),
        "issues without a status": len(nameless),
    }


def soil_pull_requests(pull_requests: dict, rng: np.random.Generator) -> dict[str, int]:
    """Spoil some pull requests in place; how many rows of each kind."""
    if len(pull_requests["number"]) < ENOUGH:
        return {}
    rows = pd.DataFrame(pull_requests)
    merged = rows["merged_at"].notna()
    take = picker(rng)

    early = take(merged, 0.003)
    rows.loc[early, "merged_at"] = rows.loc[early, "pr_created_at"] - pd.Timedelta(seconds=DAY)
    no_commit, no_file = take(merged, 0.003), take(merged, 0.003)
    rows.loc[no_commit, "commit_count"] = 0
    rows.loc[no_file, "changed_files"] = 0
    negative = take(merged, 0.002)
    rows.loc[negative, "additions"] = -1
    uncounted = take(merged, 0.006)
    rows.loc[uncounted, ["review_cycles", "rework_commit_count"]] = pd.NA
    untitled = take(merged, 0.003)
    rows.loc[untitled, "name"] = None
    twins = take(merged & (rows["number"] > 1), 0.002)
    rows.loc[twins, "number"] -= 1
    for name in pull_requests:
        pull_requests[name] = rows[name]
    return {
        "pull requests merged before they were opened": len(early),
        "pull requests without a commit": len(no_commit),
        "pull requests without a file": len(no_file),
        "pull requests with negative additions": len(negative),
        "pull requests whose reviews were never counted": len(uncounted),
        "pull requests without a title": len(untitled),
        "pull requests with another's number": len(twins),
    }


def picker(rng: np.random.Generator):
    """Draws a share of the rows of which something is true, at least two of them, and none of them twice."""
    taken: set[int] = set()

    def take(among: pd.Series, share: float) -> np.ndarray:
        free = np.array([row for row in np.flatnonzero(among) if row not in taken])
        chosen = rng.choice(free, size=min(len(free), max(2, round(share * len(among)))), replace=False)
        taken.update(chosen.tolist())
        return np.sort(chosen)

    return take
