"""Issues whose points follow from what they say, more or less: a signal of known size, with noise, that drifts.

Nothing here is a formula that a model of ours has: words act together in pairs, bugs are judged by other words than
stories, the scale is that of the points in use, and both the level and what a word means wander from week to week.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import numpy as np

POINTS = np.array([1, 2, 3, 5, 8, 13, 21])
KINDS = ("Story", "Task", "Bug")
TOPICS = (
    "login", "export", "invoice", "search", "report", "cache", "upload", "filter", "session", "address", "webhook",
    "avatar", "budget", "calendar", "discount", "editor", "feed", "gateway", "history", "import",
)  # fmt: skip
VERBS = ("Rename", "Show", "Migrate", "Rewrite", "Check", "Split", "Document", "Replace")
ASIDES = ("for everybody", "in the old client", "as agreed", "behind a switch", "on phones", "once a day")


@dataclass(frozen=True)
class Issue:
    """`best`: what somebody who knows the generator's state would say: the median of what the points can come to."""

    created: datetime.datetime
    kind: str
    summary: str
    description: str
    points: int
    best: float


@dataclass
class Client:
    """A stream of issues, the same for the same seed. `noise`: of the log of the points, of one issue; `drift`: of the
    level, of one week."""

    seed: int
    began: datetime.datetime
    per_week: int = 60
    noise: float = 0.3
    drift: float = 0.03

    def __post_init__(self) -> None:
        self.chance = np.random.default_rng(self.seed)
        self.level = np.log(3.0)
        self.of_topic = self.chance.normal(0, 0.55, len(TOPICS))
        self.of_verb = self.chance.normal(0, 0.45, len(VERBS))
        self.of_bug = self.chance.normal(0, 0.35, len(TOPICS))
        self.together = self.chance.normal(0, 0.1, (len(TOPICS), len(VERBS)))
        self.weeks = 0

    def week(self) -> list[Issue]:
        """The issues of the next week."""
        start = self.began + datetime.timedelta(weeks=self.weeks)
        self.weeks += 1
        self.level += self.drift * self.chance.normal()
        self.of_topic += 0.01 * self.chance.normal(size=len(TOPICS))
        seconds = np.sort(self.chance.integers(0, 7 * 86400 - 3600, self.per_week))
        return [self._issue(start + datetime.timedelta(seconds=int(second))) for second in seconds]

    def _issue(self, created: datetime.datetime) -> Issue:
        topic, verb = self.chance.integers(len(TOPICS)), self.chance.integers(len(VERBS))
        kind, aside = KINDS[self.chance.integers(3)], ASIDES[self.chance.integers(len(ASIDES))]
        wished = self.level + self.of_topic[topic] + self.of_verb[verb] + self.together[topic, verb]
        if kind == "Bug":
            wished += self.of_bug[topic] - 0.2
        points = in_use(wished + self.noise * self.chance.standard_t(5))
        summary = f"{VERBS[verb]} the {TOPICS[topic]} {aside}"
        description = " ".join(["It matters."] * int(self.chance.integers(1, 30)))
        return Issue(created, kind, summary, description, points, float(in_use(wished)))


def in_use(wished: float) -> int:
    """The points nearest to what is wished, as a log."""
    return int(POINTS[np.abs(np.log(POINTS) - wished).argmin()])


def row(issue: Issue, key: str, *, known: bool) -> dict[str, Any]:
    """What the platform holds of it, apart from the client's own ids."""
    return {
        "key": key,
        "external_id": key,
        "summary": issue.summary,
        "custom_field_01": issue.description,
        "story_points": issue.points if known else None,
        "created": issue.created,
        "updated": issue.created,
        "last_updated_at": issue.created,
    }
