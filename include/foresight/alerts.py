"""Alerts: what they say, to whom, and that one failure gives one message.

Several channels notice the same failure (the DAG's callback, the scheduler's listener), each in a process of its own.
All go through `send`: the first to record the cause in ml.alerts sends, within that transaction, so that a message
which nobody took leaves no record and the next channel tries. No text carries a client's data, nor the name of any
other client.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from include.foresight import settings

if TYPE_CHECKING:
    from include.foresight.database import Databases, Transaction

log = logging.getLogger(__name__)

MARKERS_KEPT = 7 * 86400


class Undelivered(Exception):
    """Channels are set up, and none of them took the message."""


@dataclass(frozen=True)
class Alert:
    """`slug`: the client whose affair it is, None for the fleet's. `cause`: what two messages about one thing share."""

    slug: str | None
    cause: str
    subject: str
    body: str

    def payload(self) -> dict[str, Any]:
        """What a webhook gets. `text` is what Slack and those who imitate it show."""
        return {
            "client": self.slug,
            "cause": self.cause,
            "subject": self.subject,
            "body": self.body,
            "text": f"{self.subject}\n{self.body}",
        }


class Transport(Protocol):
    """Both return False where no such channel is set up, and raise when it is and does not take the message."""

    def email(self, to: Sequence[str], subject: str, body: str) -> bool:
        """`to` empty: the fleet's own recipients."""

    def webhook(self, conn_id: str | None, payload: Mapping[str, Any]) -> bool:
        """`conn_id` None: the fleet's own."""


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


def fleet_dag_failed(dag_id: str, dag_run_id: str, reason: str, day: datetime.date, link: str | None = None) -> Alert:
    where = f"\n{link}" if link else ""
    return Alert(
        None,
        f"dag_failed:{dag_id}:{day}",
        f"Foresight: {dag_id} failed",
        f"Run {dag_run_id} of the DAG {dag_id} has failed ({reason}). No further message about this DAG today.{where}",
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
        "Runs fail meanwhile, and no message about a single client is sent; the replica goes on serving predictions.",
    )


def send(databases: Databases, alert: Alert, transport: Transport) -> bool:
    """Whether this call told somebody of it: False if it was told before, or if nobody took it. Never raises."""
    try:
        with databases.primary() as session, session.as_fleet() as fleet:
            if not record(fleet, alert):
                log.info("told before: %s", alert.subject)
                return False
            deliver(alert, _recipients(fleet, alert.slug), transport)
            return True
    except Undelivered as error:
        log.error("%s. Nobody was told: %s\n%s", error, alert.subject, alert.body)
    except Exception as error:  # an alert never breaks what it tells of
        log.error(
            "%s: %s. No alert can be recorded on the primary; it was: %s\n%s",
            type(error).__name__,
            error,
            alert.subject,
            alert.body,
        )
        return _send_unrecorded(primary_away(error, alert.subject, datetime.datetime.now(datetime.UTC)), transport)
    return False


def record(fleet: Transaction, alert: Alert) -> bool:
    """Note that this was told; False if it had been before."""
    values = {"slug": alert.slug, "cause": alert.cause, "subject": alert.subject}
    return fleet.one("alerts/record", values) is not None


@dataclass(frozen=True)
class Recipients:
    """Empty means the fleet's."""

    emails: tuple[str, ...] = ()
    webhook_conn_id: str | None = None


def _recipients(fleet: Transaction, slug: str | None) -> Recipients:
    row = fleet.one("alerts/recipients", {"slug": slug}) if slug else None
    return Recipients(tuple(row["alert_emails"]), row["alert_webhook_conn_id"]) if row else Recipients()


def deliver(alert: Alert, recipients: Recipients, transport: Transport) -> None:
    """By every channel there is; raises Undelivered if there are some and all of them failed."""
    channels = {
        "e-mail": lambda: transport.email(recipients.emails, alert.subject, alert.body),
        "webhook": lambda: transport.webhook(recipients.webhook_conn_id, alert.payload()),
    }
    taken, failed = [], []
    for name, deliver_by in channels.items():
        try:
            if deliver_by():
                taken.append(name)
        except Exception:  # one channel must not take the other's message
            log.exception("alert not sent by %s: %s", name, alert.subject)
            failed.append(name)
    if taken:
        log.info("alert sent by %s: %s", " and ".join(taken), alert.subject)
    elif failed:
        raise Undelivered(f"no channel took the message ({', '.join(failed)})")
    else:
        log.warning("ALERT (no channel is set up) %s\n%s", alert.subject, alert.body)


def _send_unrecorded(alert: Alert, transport: Transport) -> bool:
    """Without the primary, a file on this machine keeps a message from being sent twice."""
    marker = marker_folder() / hashlib.sha256(alert.cause.encode()).hexdigest()[:24]
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        for old in marker.parent.iterdir():
            if old.stat().st_mtime < time.time() - MARKERS_KEPT:
                old.unlink(missing_ok=True)
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        log.exception("%s cannot be written; the message is sent, perhaps more than once", marker)
    try:
        deliver(alert, Recipients(), transport)
    except Undelivered as error:
        log.error("%s. Nobody was told: %s\n%s", error, alert.subject, alert.body)
        marker.unlink(missing_ok=True)
        return False
    return True


def marker_folder() -> Path:
    return settings.registry_snapshot().parent / "alerts"
