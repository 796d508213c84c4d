"""Alerts: what they say, and what two messages about one thing share. The outbox sends them.

No text carries a client's data, nor the name of any other client.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Alert:
    """`slug`: the client whose affair it is, None for the fleet's. `cause`: what two messages about one thing share."""

    slug: str | None
    cause: str
    subject: str
    body: str

    @property
    def key(self) -> tuple[str | None, str]:
        return self.slug, self.cause

    def payload(self) -> dict[str, Any]:
        """What a webhook gets. `text` is what Slack and those who imitate it show."""
        return {
            "client": self.slug,
            "cause": self.cause,
            "subject": self.subject,
            "body": self.body,
            "text": f"{self.subject}\n{self.body}",
        }


def one_line(text: str) -> str:
    """A subject is one header line; a client's name may hold anything."""
    return " ".join(text.split())


def nightly_failed(
    slug: str,
    dag_run_id: str,
    reason: str,
    *,
    name: str | None = None,
    failed_tasks: Sequence[str] = (),
    attempt: int | None = None,
    link: str | None = None,
) -> Alert:
    failed = f"Failed: {', '.join(failed_tasks)}." if failed_tasks else f"Airflow says: {reason}."
    lines = [
        f"The nightly run {dag_run_id} of client '{slug}' has failed. {failed}",
        "What is served goes on being served: a model is replaced only by one that was judged better.",
        f"The task logs and what to do: {link}" if link else "The task logs in Airflow say why.",
    ]
    return Alert(
        slug,
        f"run_failed:{dag_run_id}:{attempt or ''}",
        one_line(f"Foresight: the nightly of {name or slug} failed"),
        "\n".join(lines),
    )


def fleet_dag_failed(
    dag_id: str,
    dag_run_id: str,
    reason: str,
    occasion: datetime.date | str,
    *,
    errors: Mapping[str, str] | None = None,
    link: str | None = None,
) -> Alert:
    """`errors`: by task, the class of its error and what else may be said. `occasion`: the day of a DAG that runs all
    day, whose failures of one kind are one alert; the run of another."""
    kind = ",".join(f"{task}={error.split(':')[0]}" for task, error in sorted((errors or {}).items()))
    lines = [
        f"Run {dag_run_id} of the DAG {dag_id} has failed ({reason}).",
        *(f"{task}: {error}" for task, error in sorted((errors or {}).items())),
        *(["The same failure is not reported again today."] if isinstance(occasion, datetime.date) else []),
        f"The task logs say more: {link}" if link else "The task logs in Airflow say more.",
    ]
    return Alert(
        None, f"dag_failed:{dag_id}:{kind or reason}:{occasion}", f"Foresight: {dag_id} failed", "\n".join(lines)
    )


def import_failed(file: str, stacktrace: str, day: datetime.date) -> Alert:
    last = stacktrace.strip().splitlines()[-20:]
    digest = hashlib.sha256("\n".join(last).encode()).hexdigest()[:12]
    return Alert(
        None,
        f"import_failed:{file}:{digest}:{day}",
        one_line(f"Foresight: the DAG file {file} cannot be imported"),
        "\n".join([f"Every DAG of {file} stands still until this is repaired:", *last]),
    )


def primary_away(error: BaseException, first_seen_by: str, now: datetime.datetime) -> Alert:
    return Alert(
        None,
        f"primary_away:{now:%Y-%m-%dT%H}",
        "Foresight: the primary database cannot be used",
        f"Noticed because of: {first_seen_by}\n{type(error).__name__}: {error}\n"
        "Runs fail meanwhile, and messages about single clients wait; the replica goes on serving predictions.",
    )
