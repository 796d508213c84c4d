"""The words of the generated clients' texts, each with what it adds to the log of an issue's effort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Vocabulary:
    """What summaries ("<verb> <noun> <place>", of bugs "<noun> <symptom> <place>") and long texts are made of."""

    verbs: Mapping[str, float]
    nouns: Mapping[str, float]
    places: Mapping[str, float]
    symptoms: Mapping[str, float]
    remarks: Mapping[str, float]
    areas: Mapping[str, float]


ENGLISH = Vocabulary(
    verbs={
        "Correct": -0.9,
        "Rename": -0.9,
        "Reword": -1.0,
        "Hide": -0.7,
        "Update": -0.5,
        "Remove": -0.4,
        "Document": -0.5,
        "Expose": -0.2,
        "Add": 0.0,
        "Show": -0.1,
        "Validate": 0.1,
        "Support": 0.3,
        "Allow": 0.2,
        "Extract": 0.3,
        "Speed up": 0.5,
        "Integrate": 0.7,
        "Refactor": 0.6,
        "Redesign": 0.9,
        "Migrate": 1.0,
        "Rewrite": 1.1,
    },
    nouns={
        "tooltip": -0.8,
        "label": -0.8,
        "icon": -0.7,
        "placeholder": -0.7,
        "link": -0.5,
        "error message": -0.4,
        "column": -0.2,
        "filter": 0.0,
        "dialog": 0.0,
        "export": 0.1,
        "report": 0.2,
        "dashboard": 0.3,
        "search": 0.4,
        "webhook": 0.3,
        "notification": 0.1,
        "permission check": 0.4,
        "import job": 0.6,
        "queue": 0.5,
        "cache": 0.5,
        "audit trail": 0.5,
        "scheduler": 0.8,
        "session store": 0.7,
        "payment flow": 0.9,
        "sync protocol": 1.0,
        "storage layer": 1.1,
    },
    places={
        "in the settings page": -0.3,
        "on the login screen": -0.2,
        "in the admin area": -0.1,
        "for guests": 0.0,
        "in the public API": 0.3,
        "for the mobile app": 0.3,
        "in billing": 0.4,
        "for large tenants": 0.5,
        "across regions": 0.7,
        "in the onboarding wizard": 0.0,
    },
    symptoms={
        "is misaligned": -0.7,
        "shows the wrong text": -0.6,
        "fails after logout": 0.0,
        "times out under load": 0.6,
        "loses updates": 0.7,
        "crashes on empty input": -0.1,
        "leaks memory": 0.6,
        "is slow with many rows": 0.4,
    },
    remarks={
        "Only the wording changes.": -0.5,
        "The markup is already there.": -0.4,
        "A screenshot is attached.": -0.2,
        "Reported by two customers.": 0.0,
        "See the thread in the team channel.": 0.0,
        "Please keep the old behaviour behind a flag.": 0.2,
        "We agreed on this in refinement.": 0.0,
        "Needs a load test before the release.": 0.4,
        "Requires a data migration and a way back.": 0.6,
        "Touches several services.": 0.5,
        "The design is still open.": 0.4,
        "Tests exist and only need another case.": -0.3,
    },
    areas={
        "Frontend, low risk": -0.4,
        "Frontend": -0.2,
        "Backend": 0.1,
        "Backend, high risk": 0.5,
        "Infrastructure": 0.4,
        "Copy": -0.6,
    },
)

RUSSIAN = Vocabulary(
    verbs=dict.fromkeys(
        ("Исправить", "Добавить", "Обновить", "Убрать", "Проверить", "Ускорить", "Переписать", "Показать"), 0.0
    ),
    nouns=dict.fromkeys(
        ("отчёт", "накладную", "справочник", "поиск", "фильтр", "выгрузку", "график", "расчёт НДС"), 0.0
    ),
    places=dict.fromkeys(
        ("на складе", "в личном кабинете", "для бухгалтерии", "в мобильной версии", "при оплате", "для O'Brien"), 0.0
    ),
    symptoms=dict.fromkeys(("не открывается", "считает неверно", "зависает", 'показывает "ошибка 500"'), 0.0),
    remarks=dict.fromkeys(
        (
            "Клиент жалуется второй раз.",
            "Смотри переписку с поставщиком.",
            "Нужно до конца квартала.",
            "Воспроизводится не всегда.",
            "Done in 1C before, now in ours.",
            "Подробности во вложении.",
        ),
        0.0,
    ),
    areas=dict.fromkeys(("Склад", "Бухгалтерия", "Сайт", "Интеграции"), 0.0),
)

# A pull request's title begins with one of these; the number adds to its risk of rework.
TITLE_PREFIXES = {
    "fix:": -0.3,
    "feat:": 0.3,
    "refactor:": 0.6,
    "chore:": -0.7,
    "docs:": -1.1,
    "WIP:": 0.9,
    "": 0.0,
}
