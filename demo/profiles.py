"""What the generated clients are like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from demo.vocabulary import ENGLISH, RUSSIAN, Vocabulary


@dataclass(frozen=True)
class Profile:
    """What one generated client is like. Times are in days, effects in units of a log."""

    name: str
    website: str
    projects: Sequence[tuple[str, str]]
    teams: Sequence[str]
    people: int
    repositories: Sequence[tuple[str, str]]
    statuses: Sequence[Sequence[str]]
    vocabulary: Vocabulary
    history_days: int
    epics: int
    children: int
    issues: int
    pull_requests: int
    epic_days: float
    # How much an issue's words say about its points, and how far points scatter around what can be known.
    words_tell: float
    points_noise: float
    # How far a team's level of points wanders in a month.
    team_drift: float
    # When the client began to give the same work fewer points, as a number of days before the end (0: never).
    rebased_days_ago: int
    # How much a pull request's size, author, repository and title say about rework.
    opening_tells: float


PROFILES = (
    Profile(
        name="Northwind Labs",
        website="https://northwind-labs.example",
        projects=(("NWL", "Northwind Platform"), ("APP", "Mobile App"), ("OPS", "Operations")),
        teams=("Alder", "Birch", "Cedar", "Dogwood"),
        people=32,
        repositories=(
            ("platform", "Python"),
            ("web", "TypeScript"),
            ("mobile", "Kotlin"),
            ("billing", "Java"),
            ("infra", "HCL"),
            ("docs", "Markdown"),
        ),
        statuses=(
            ("Backlog", "Open"),
            ("Selected for Development",),
            ("In Progress", "In Development"),
            ("Code Review",),
            ("Done", "Closed"),
            ("Won't Do",),
        ),
        vocabulary=ENGLISH,
        history_days=730,
        epics=300,
        children=2500,
        issues=3400,
        pull_requests=3000,
        epic_days=45.0,
        words_tell=0.6,
        points_noise=0.45,
        team_drift=0.04,
        rebased_days_ago=0,
        opening_tells=0.7,
    ),
    Profile(
        name="O'Brien & Сыновья",
        website="https://obrien-synovya.example",
        projects=(("OBS", "Склад"), ("SHOP", "Интернет-магазин")),
        teams=("Север", "Юг"),
        people=14,
        repositories=(("sklad", "C#"), ("shop", "PHP"), ("1c-bridge", "Python")),
        statuses=(("Новая",), ("К разработке",), ("В работе",), ("Проверка",), ("Готово", "Закрыта"), ("Отклонена",)),
        vocabulary=RUSSIAN,
        history_days=730,
        epics=95,
        children=800,
        issues=1650,
        pull_requests=1200,
        epic_days=60.0,
        words_tell=0.0,
        points_noise=0.65,
        team_drift=0.03,
        rebased_days_ago=110,
        opening_tells=0.12,
    ),
    Profile(
        name="Tiny Tern",
        website="https://tiny-tern.example",
        projects=(("TT", "Tern"),),
        teams=("Tern",),
        people=3,
        repositories=(("tern", "Go"),),
        statuses=(("To Do",), ("Next",), ("In Progress",), ("In Review",), ("Done",), ("Dropped",)),
        vocabulary=ENGLISH,
        history_days=120,
        epics=2,
        children=6,
        issues=18,
        pull_requests=8,
        epic_days=20.0,
        words_tell=0.5,
        points_noise=0.5,
        team_drift=0.0,
        rebased_days_ago=0,
        opening_tells=0.5,
    ),
)
