"""The outbox of alerts: an alert is recorded first, and attempted until every channel has taken it or it is stale.

Whoever notices a failure (callbacks, the listener, the DAG `health`, the watchdog) calls `send`. It records the alert
in ml.alerts, once for each client and cause, and then delivers everything that is due, whoever recorded it. A process
claims a delivery, attempts it outside any transaction, and settles it: of several processes one sends, and what a
killed process has claimed is due again when its lease ends. Without the primary, alerts wait in files on this machine.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from include.foresight import settings
from include.foresight.alerts import Alert, primary_away

if TYPE_CHECKING:
    from include.foresight.database import Databases, Session, Transaction

log = logging.getLogger(__name__)

Key = tuple[str | None, str]

EMAIL, WEBHOOK = "email", "webhook"
CHANNELS = (EMAIL, WEBHOOK)

# Seconds. A channel may be away over a weekend; what is older than that helps nobody.
STALE_AFTER = 3 * 86400.0
# Longer than any attempt takes.
LEASE = 600.0
FIRST_RETRY, LAST_RETRY = 30.0, 1800.0
# A pass begins no attempt after this: a channel that hangs must not hold up a check.
PASS = 60.0
# A message that is older says when it was found.
LATE_AFTER = 300.0


@dataclass(frozen=True)
class Recipients:
    """Empty means the fleet's."""

    emails: tuple[str, ...] = ()
    webhook_conn_id: str | None = None


class Transport(Protocol):
    """Both return False where no such channel is set up, and raise when it is and does not take the message."""

    def email(self, to: Sequence[str], subject: str, body: str) -> bool:
        """`to` empty: the fleet's own recipients."""

    def webhook(self, conn_id: str | None, payload: dict[str, Any]) -> bool:
        """`conn_id` None: the fleet's own."""


def send(databases: Databases, alerts: Iterable[Alert], transport: Transport) -> set[Key]:
    """Record these alerts and deliver whatever is due; the keys of what was delivered just now. Never raises."""
    alerts = [_storable(alert) for alert in alerts]
    try:
        with databases.primary() as session:
            with session.as_fleet() as fleet:
                new = [alert for alert in alerts if record(fleet, alert)]
            _record_files(session)
            one_pass = Pass(transport)
            _deliver_due(session, one_pass)
    except Exception as error:  # an alert never breaks what it reports
        log.error("the outbox of alerts on the primary cannot be used: %s: %s", type(error).__name__, error)
        return _send_from_files(alerts, error, transport)
    for alert in new:
        if alert.key not in one_pass.delivered | one_pass.failed:
            log.warning("ALERT (no channel is set up here) %s\n%s", alert.subject, alert.body)
    return one_pass.delivered


def record(
    fleet: Transaction,
    alert: Alert,
    *,
    channels: Sequence[str] = CHANNELS,
    found_at: datetime.datetime | None = None,
) -> bool:
    """Put an alert into the outbox; False if its cause is recorded already."""
    values = asdict(alert) | {"channels": list(channels), "found_at": found_at, "stale_after": STALE_AFTER}
    return fleet.one("outbox/record", values) is not None


def _storable(alert: Alert) -> Alert:
    """Without what neither the server nor a file holds, which a trace may have: such a text must keep no other back."""
    texts = {
        name: text and text.replace("\0", "").encode(errors="replace").decode() for name, text in asdict(alert).items()
    }
    return Alert(**texts)


def webhooks(databases: Databases) -> list[str]:
    """The connections that clients' rows name."""
    with databases.primary() as session, session.as_fleet() as fleet:
        return [row["conn_id"] for row in fleet.all("outbox/webhooks")]


def retry_after(attempts: int) -> float:
    """Seconds until the next attempt, after so many that failed."""
    return min(LAST_RETRY, FIRST_RETRY * 2 ** (min(attempts, 20) - 1))


@dataclass
class Pass:
    """One pass over what is due. A channel that is missing or fails for some recipients is not used again for them."""

    transport: Transport
    delivered: set[Key] = field(default_factory=set)
    failed: set[Key] = field(default_factory=set)
    _unusable: set[tuple[str, Any]] = field(default_factory=set)
    _ends: float = field(default_factory=lambda: time.monotonic() + PASS)

    @property
    def over(self) -> bool:
        return time.monotonic() > self._ends

    def usable(self, channels: Iterable[str], recipients: Recipients) -> list[str]:
        return [channel for channel in channels if (channel, _target(channel, recipients)) not in self._unusable]

    def attempt(self, channel: str, alert: Alert, recipients: Recipients) -> tuple[bool, str | None]:
        """Whether the channel took the message, else why not; without a reason no such channel is set up here."""
        reason = None
        try:
            if channel == EMAIL:
                taken = self.transport.email(recipients.emails, alert.subject, alert.body)
            else:
                taken = self.transport.webhook(recipients.webhook_conn_id, alert.payload())
        except Exception as error:  # one channel must not take the other's message
            taken, reason = False, f"{type(error).__name__}: {error}"[:500]
            log.error("alert not sent by %s, to be tried again: %s: %s", channel, alert.subject, reason)
            self.failed.add(alert.key)
        if taken:
            log.info("alert sent by %s: %s", channel, alert.subject)
            self.delivered.add(alert.key)
        else:
            self._unusable.add((channel, _target(channel, recipients)))
        return taken, reason


def _target(channel: str, recipients: Recipients) -> Any:
    return recipients.emails if channel == EMAIL else recipients.webhook_conn_id


def _deliver_due(session: Session, one_pass: Pass) -> None:
    with session.as_fleet() as fleet:
        due = fleet.all("outbox/due")
    for row in due:
        if one_pass.over:
            log.warning("the rest of the alerts that are due is left to the next who looks")
            return
        recipients = Recipients(tuple(row["emails"]), row["webhook_conn_id"])
        channels = one_pass.usable(row["channels"], recipients)
        if not channels:
            continue
        values = {"alert_id": row["alert_id"], "channels": channels, "lease": LEASE, "late_after": LATE_AFTER}
        with session.as_fleet() as fleet:
            claimed = fleet.all("outbox/claim", values)
        for claim in claimed:
            body = claim["body"]
            if claim["late"]:
                body += f"\nFound at {claim['created_at'].astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC and sent late: "
                body += "no channel took it before."
            alert = Alert(claim["slug"], claim["cause"], claim["subject"], body)
            taken, reason = one_pass.attempt(claim["channel"], alert, recipients)
            attempts = claim["attempts"]
            settlement = {
                "alert_id": row["alert_id"],
                "channel": claim["channel"],
                "attempts": attempts,
                "delivered": taken,
                "uncounted": 0 if taken or reason else 1,
                "wait": retry_after(attempts) if reason else 0,
                "error": reason,
            }
            with session.as_fleet() as fleet:
                fleet.run("outbox/settle", settlement)


# --- Without the primary


@dataclass
class Waiting:
    """An alert in a file. `channels`: those that it is to be sent by from here; None: it waits for the primary."""

    alert: Alert
    found_at: float
    channels: list[str] | None
    attempts: int = 0
    next_attempt_at: float = 0.0

    def write(self, path: Path, *, new: bool = False) -> None:
        """Write the file in one step. `new`: where there is none; raises FileExistsError."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        temporary.write_text(json.dumps(asdict(self), ensure_ascii=False), encoding="utf-8")
        try:
            (os.link if new else os.replace)(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def read(cls, path: Path) -> Waiting:
        stated = json.loads(path.read_text(encoding="utf-8"))
        return cls(**stated | {"alert": Alert(**stated["alert"])})


def folder() -> Path:
    return settings.registry_snapshot().parent / "alerts"


def _send_from_files(alerts: Sequence[Alert], error: Exception, transport: Transport) -> set[Key]:
    """Keep the alerts until the primary is back, and send one message an hour about the primary itself."""
    one_pass = Pass(transport)
    now = datetime.datetime.now(datetime.UTC)
    away = _storable(primary_away(error, alerts[0].subject, now)) if alerts else None
    try:
        for alert in alerts:
            _keep(Waiting(alert, now.timestamp(), None))
        if away:
            _keep(Waiting(away, now.timestamp(), list(CHANNELS)))
        with _files() as files:
            for path, waiting in files:
                if waiting.channels and waiting.next_attempt_at <= now.timestamp() and not one_pass.over:
                    _attempt_file(path, waiting, one_pass)
    except OSError:
        log.exception("%s cannot be written; the message is sent, perhaps more than once", folder())
        for channel in CHANNELS if away else ():
            one_pass.attempt(channel, away, Recipients())
    if away and away.key not in one_pass.delivered:
        log.error("ALERT (kept, not sent from here) %s\n%s", alerts[0].subject, alerts[0].body)
    return one_pass.delivered


def _keep(waiting: Waiting) -> None:
    """Write a file for an alert that has none: one for each client and cause."""
    name = hashlib.sha256(json.dumps(waiting.alert.key).encode()).hexdigest()[:24]
    path = folder() / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        waiting.write(path, new=True)


def _attempt_file(path: Path, waiting: Waiting, one_pass: Pass) -> None:
    failed = False
    for channel in one_pass.usable(waiting.channels or (), Recipients()):
        taken, reason = one_pass.attempt(channel, waiting.alert, Recipients())
        if taken:
            waiting.channels = [other for other in waiting.channels or () if other != channel]
            waiting.write(path)
        failed |= reason is not None
    if failed:
        waiting.attempts += 1
        waiting.next_attempt_at = time.time() + retry_after(waiting.attempts)
        waiting.write(path)


@contextlib.contextmanager
def _files() -> Iterator[list[tuple[Path, Waiting]]]:
    """The alerts in files, for one process at a time: none while another has them."""
    if not folder().is_dir():
        yield []
        return
    with (folder() / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield []
            return
        yield list(_read_files())


def _read_files() -> Iterator[tuple[Path, Waiting]]:
    now = time.time()
    for path in sorted(folder().glob("*.json")):
        try:
            waiting = Waiting.read(path)
        except (ValueError, TypeError, KeyError):
            log.exception("%s is no alert and is deleted", path)
            path.unlink(missing_ok=True)
            continue
        if waiting.found_at < now - STALE_AFTER:
            path.unlink(missing_ok=True)
        else:
            yield path, waiting


def _record_files(session: Session) -> None:
    """Move what waits in files into the outbox on the primary. A file stays, empty, where it keeps a message from being
    sent twice."""
    try:
        with _files() as files:
            for path, waiting in files:
                if waiting.channels == []:
                    continue
                found_at = datetime.datetime.fromtimestamp(waiting.found_at, datetime.UTC)
                with session.as_fleet() as fleet:
                    record(fleet, waiting.alert, channels=waiting.channels or CHANNELS, found_at=found_at)
                if waiting.channels is None:
                    path.unlink(missing_ok=True)
                else:
                    waiting.channels = []
                    waiting.write(path)
    except OSError:
        log.exception("%s cannot be used", folder())
