"""Does the watch find what has changed, and is it quiet otherwise? A year of nights for twenty clients, and troubles
that somebody has to be told of.

The year: ten clients to whom nothing happens, and ten of whose ten features three move by half a standard deviation,
one after the other; with five of them the model, until it is trained anew, is further off as well. Every night goes
through `monitoring.watch` and `retraining`, on real servers: answers are rows of the log on the primary, their
outcomes rows of the platform that the replica has copied. Nothing is fitted: what a training would change is that the
answers after it are right again. Data are generated, and real to nobody.

The troubles: nights that fail, hang or never began, unhealthy models, blocked data, a dead scheduler, planted at odd
moments and told of by `./foresight watchdog`'s loop at its own pace, while the looks of the DAG `health` and two
channels of every failed night compete with it.
"""

from __future__ import annotations

import datetime
import http.server
import itertools
import json
import os
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np
import psycopg
from rich.table import Table

from benchmarks.gate import installation
from include.foresight import alerts, clients, health, monitoring, outbox, retraining, watchdog
from include.foresight.alerts import Alert
from include.foresight.clients import Client
from include.foresight.database import Databases
from include.foresight.drift import BEFORE_DAYS, LATELY_DAYS
from include.foresight.runs import Request, Run
from tests.support import nights
from tests.support.installation import Installation
from tests.support.nights import AS_OF, Bench

DAY = datetime.timedelta(days=1)
FEATURES = tuple(f"f{n}" for n in range(10))
# 200 answers in the days that are looked at; points come two days later.
PER_DAY = 200 / LATELY_DAYS
LABEL_DAYS = 2.0
SHIFT = 0.5
# What a model that has not seen the new relation is off by beside its usual error of one.
STALE = 1.5
# As many rows a model of such a client is trained on (a window of 18 months).
ROWS = round(547 * PER_DAY)

STILL, HARMLESS, HARMFUL = "still", "harmless", "harmful"

GOALS = {
    "detection_rate": "at least 0.9",
    "false_alarm_rate": "at most 0.05",
    "needless_retrains_per_client_year": "at most 1",
    "time_to_alert_s": "",
    "alerts_missed": "0",
    "alerts_double": "0",
}


@dataclass(frozen=True)
class Plan:
    """`still`, `harmless`, `harmful`: how many clients; `shifts`: the days on which one of the moving clients' features
    moves, about which chance decides. `every`: seconds between two looks of the watchdog."""

    still: int = 10
    harmless: int = 5
    harmful: int = 5
    days: int = 365
    shifts: tuple[int, ...] = (50, 150, 250)
    troubles: int = 4
    every: float = 60.0
    threads: int = 2


QUICK = Plan(still=1, harmless=1, harmful=1, days=66, shifts=(4,), troubles=1, every=0.4, threads=1)


@dataclass
class Measured:
    values: dict[str, float] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)


# --- The year


@dataclass
class Life:
    """A client's answers and what they came to; day 0 is the first night."""

    bench: Bench
    client: Client
    kind: str
    shifts: Sequence[int]
    start: datetime.datetime
    ids: list[int] = field(default_factory=list)
    moments: list[datetime.datetime] = field(default_factory=list)
    fresh: np.ndarray = field(default_factory=lambda: np.zeros(0))
    trained: datetime.datetime | None = None
    healed: list[int] = field(default_factory=list)
    # By night: the columns that drift.
    looks: dict[int, set[str]] = field(default_factory=dict)
    # Nights on which drift asked for a training, and whether harm was being done.
    asked: list[tuple[int, bool]] = field(default_factory=list)
    trainings: dict[str, int] = field(default_factory=dict)

    def night(self, day: int) -> datetime.datetime:
        return self.start + day * DAY

    def harmed(self, day: int) -> bool:
        """Whether what serves is further off than it was: the relation has changed since it was trained."""
        return self.kind == HARMFUL and any(
            shift <= day and not any(shift < healed <= day for healed in self.healed) for shift in self.shifts
        )

    def write(self, chance: np.random.Generator, days: int) -> None:
        """All answers and outcomes; a night sees those of its past."""
        first = -BEFORE_DAYS - 5
        count = round((days - first) * PER_DAY)
        at = first + np.arange(count) / PER_DAY
        self.moments = [self.start + float(day) * DAY for day in at]
        x = chance.normal(size=(count, len(FEATURES)))
        since = np.zeros(count, dtype=int)
        for place, shift in enumerate(self.shifts):
            x[at > shift, place] += SHIFT
            since += at > shift
        labels = 15 + 2 * chance.normal(size=count)
        self.fresh = labels + chance.normal(size=count)
        stale = self.fresh + (STALE * since if self.kind == HARMFUL else 0)
        keys = [f"W-{self.client.client_id}-{place}" for place in range(count)]
        with psycopg.connect(self.bench.installed.platform) as platform:
            with platform.cursor().copy(
                "copy issues (key, external_id, summary, story_points, created, work_first_started_at, client_id)"
                " from stdin"
            ) as copy:
                for key, moment, label in zip(keys, self.moments, labels.tolist(), strict=True):
                    begun = moment + LABEL_DAYS * DAY
                    copy.write_row((key, key, "x", max(round(label), 1), moment - DAY, begun, self.client.client_id))
            found = dict(
                platform.execute("select key, id from issues where client_id = %s", [self.client.client_id]).fetchall()
            )
        self.ids = [found[key] for key in keys]
        with psycopg.connect(self.bench.installed.primary) as primary:
            with primary.cursor().copy(
                "copy ml.prediction_log (prediction_uuid, client_id, model, model_name, rung, entity, entity_id,"
                " prediction_value, input_features, feature_hash, response_time_ms, source, as_of) from stdin"
            ) as copy:
                fixed = (self.client.client_id, self.bench.spec.model, "m", "boosted", "issue")
                for entity, moment, value, row in zip(self.ids, self.moments, stale.tolist(), x, strict=True):
                    said = json.dumps(dict(zip(FEATURES, map(float, row), strict=True)) | {"simple": 15.0})
                    copy.write_row((uuid4(), *fixed, entity, value, said, "x", 1, "nightly", moment))

    def train(self, day: int, trigger: str, run: Run | None = None) -> None:
        """A model that knows the world as it is: what is answered after the night is right again."""
        self.trained = self.night(day)
        self.trainings[trigger] = self.trainings.get(trigger, 0) + 1
        run = run or self.bench.night(self.night(day), state="success")
        self.bench.trained(run, None, trigger=trigger, cpu_seconds=1.0)
        if not self.harmed(day):
            return
        self.healed.append(day)
        later = [place for place, moment in enumerate(self.moments) if moment > self.night(day)]
        due = [shift for shift in self.shifts if shift > day]
        values = self.fresh[later].copy()
        for shift in due:
            values += STALE * np.array([self.moments[place] > self.night(shift) for place in later])
        with psycopg.connect(self.bench.installed.primary) as primary:
            primary.execute(
                "update ml.prediction_log set prediction_value = given.value"
                " from unnest(%s::bigint[], %s::float8[]) as given (entity_id, value)"
                " where client_id = %s and prediction_log.entity_id = given.entity_id",
                [[self.ids[place] for place in later], values.tolist(), self.client.client_id],
            )

    def watch(self, databases: Databases, day: int) -> None:
        """One night: a training if labels or age want one, then the look."""
        as_of = self.night(day)
        run = self.bench.night(as_of)
        if self.trained is not None:
            since = sum(self.trained < moment + LABEL_DAYS * DAY <= as_of for moment in self.moments)
            last = {"as_of": self.trained, "rows": ROWS}
            due = retraining.due(run, self.bench.spec, last, lost=False, same=True, new=since)
            if due.now:
                self.train(day, due.trigger, run)
        [found] = monitoring.watch(databases, run, [self.bench.spec])
        self.looks[day] = set(found.drifting)
        if found.retrain:
            self.asked.append((day, self.harmed(day)))


def year(installed: Installation, plan: Plan, seed: int, say: Callable[[str], None]) -> list[Life]:
    """Every client's nights, all clients' night by night: the requests of one are taken together."""
    start = AS_OF - plan.days * DAY
    kinds = [STILL] * plan.still + [HARMLESS] * plan.harmless + [HARMFUL] * plan.harmful
    lives: list[Life] = []
    for place, kind in enumerate(kinds):
        chance = np.random.default_rng([seed, place])
        number = 800_001 + place
        installed.add_client(number)
        bench = Bench(installed, installed.databases, number)
        shifts = [] if kind == STILL else [day + int(chance.integers(0, 30)) for day in plan.shifts]
        lives.append(Life(bench, _client(bench), kind, shifts, start))
        lives[-1].write(chance, plan.days)
    installed.catch_up(120)
    with psycopg.connect(installed.replica, autocommit=True) as replica, psycopg.connect(installed.primary) as primary:
        replica.execute("analyze")
        primary.execute("analyze")
    for life in lives:
        life.bench.serve(None)
        life.train(0, retraining.FIRST)
    by_slug = {life.bench.slug: life for life in lives}
    began = time.monotonic()
    with ThreadPoolExecutor(plan.threads) as pool, _sessions(installed) as databases:
        for day in range(1, plan.days + 1):
            list(pool.map(lambda life, day=day: life.watch(databases(), day), lives))
            for wanted in retraining.take(installed.databases):
                life = by_slug[wanted.slug]
                assert Request.of({"models": list(wanted.models), "reason": wanted.reason}).reason
                life.train(day, retraining.DRIFT)
            if day % 30 == 0:
                say(
                    f"  night {day}: {sum(len(life.asked) for life in lives)} trainings asked for by drift "
                    f"({time.monotonic() - began:.0f} s)"
                )
    return lives


@contextmanager
def _sessions(installed: Installation) -> Iterator[Callable[[], Databases]]:
    """By thread, databases whose session on the replica lasts: a night's process has one for all it does."""
    held, made = threading.local(), []

    def of_thread() -> Databases:
        if not hasattr(held, "databases"):
            opened = nights.warm(installed)
            made.append(opened)
            held.databases = opened.__enter__()
        return held.databases

    try:
        yield of_thread
    finally:
        for opened in made:
            opened.__exit__(None, None, None)


def _client(bench: Bench) -> Client:
    with bench.databases.primary() as primary, primary.as_fleet() as fleet:
        return clients.read(fleet, bench.slug)


def _of_the_year(measured: Measured, lives: Sequence[Life], plan: Plan) -> None:
    found: list[int | None] = []
    for life in lives:
        for place, shift in enumerate(life.shifts):
            # The first two nights whose last days hold 200 answers of after the shift.
            by = [day for day in life.looks if day >= shift + LATELY_DAYS][:2]
            if len(by) == 2:
                seen = [day for day in life.looks if shift < day <= by[1] and FEATURES[place] in life.looks[day]]
                found.append(min(seen) - shift if seen else None)
    quiet = [
        columns for life in lives for day, columns in life.looks.items() if not life.shifts or day <= min(life.shifts)
    ]
    years = len(lives) * plan.days / 365
    needless = sum(not harmed for life in lives for _, harmed in life.asked)
    useful = sum(harmed for life in lives for _, harmed in life.asked)
    by_kind = ", ".join(
        f"{kind} {sum(not harmed for life in lives if life.kind == kind for _, harmed in life.asked)}"
        for kind in (STILL, HARMLESS, HARMFUL)
    )
    waits = [day for day in found if day is not None]
    alarms = sum(bool(columns) for columns in quiet)
    measured.values["detection_rate"] = len(waits) / len(found) if found else float("nan")
    measured.details["detection_rate"] = f"{len(waits)} of {len(found)} shifts" + (
        f"; the first night that saw one was the {statistics.median(waits):.0f}th (median)" if waits else ""
    )
    measured.values["false_alarm_rate"] = alarms / len(quiet) if quiet else float("nan")
    measured.details["false_alarm_rate"] = f"{alarms} of {len(quiet)} looks at which nothing had moved"
    measured.values["needless_retrains_per_client_year"] = needless / years
    trainings = {
        trigger: sum(life.trainings.get(trigger, 0) for life in lives)
        for trigger in (retraining.LABELS, retraining.AGE, retraining.DRIFT)
    }
    measured.details["needless_retrains_per_client_year"] = (
        f"asked for by drift where no harm was planted: {needless} ({by_kind}), where it was: {useful}, "
        f"in {years:.1f} client-years"
        f" (by age {trainings[retraining.AGE]}, by labels {trainings[retraining.LABELS]})"
    )


# --- The troubles


@dataclass
class Heard:
    """What a webhook gets: when, whose, why."""

    messages: list[tuple[float, str | None, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def email(self, to: Sequence[str], subject: str, body: str) -> bool:
        return False

    def webhook(self, conn_id: str | None, payload: Mapping[str, Any]) -> bool:
        with self.lock:
            self.messages.append((time.monotonic(), payload["client"], payload["cause"]))
        return True


@dataclass
class Trouble:
    """`cause`: how that of its message begins. `at`: when it was committed."""

    slug: str | None
    cause: str
    plant: Callable[[], None]
    at: float = 0.0


def troubles(installed: Installation, plan: Plan, seed: int, say: Callable[[str], None]) -> tuple[list, Heard]:
    heard = Heard()
    chance = random.Random(seed)
    with _airflow() as (url, state):
        planted = _troubles(installed, plan, heard, state)
        chance.shuffle(planted)
        # Until the last has been there for two looks in a row, and one more.
        rounds = 2 + 3 + 1
        guard = threading.Thread(
            target=watchdog.guard,
            args=(lambda: watchdog.look(installed.databases, url), lambda found: _send(installed, found, heard)),
            kwargs={"every": plan.every, "rounds": rounds},
        )
        guard.start()
        over = 2 * plan.every
        moments = sorted(chance.uniform(0, over) for _ in planted)
        began = time.monotonic()
        for trouble, moment in zip(planted, moments, strict=True):
            time.sleep(max(0.0, began + moment - time.monotonic()))
            trouble.at = time.monotonic()
            trouble.plant()
        say(f"  {len(planted)} troubles planted within {over:.0f} s")
        # The DAG `health` looks as well.
        for _ in range(2):
            for look in (health.missed_runs, health.model_troubles):
                _send(installed, look(installed.databases), heard)
            time.sleep(plan.every)
        guard.join()
    return planted, heard


def _send(installed: Installation, found: Sequence[Alert], heard: Heard) -> set[outbox.Key]:
    return outbox.send(installed.databases, found, heard)


def _troubles(installed: Installation, plan: Plan, heard: Heard, state: dict[str, Any]) -> list[Trouble]:
    numbers = itertools.count(850_001)
    found: list[Trouble] = []

    def bench() -> Bench:
        number = next(numbers)
        installed.add_client(number)
        return Bench(installed, installed.databases, number)

    def change(query: str, *values: Any) -> None:
        with psycopg.connect(installed.primary) as primary:
            primary.execute(query, values)

    def plant(one: Bench, cause: str, action: Callable[[], None]) -> None:
        found.append(Trouble(one.slug, cause, action))

    for _ in range(plan.troubles):
        one = bench()
        run = one.night(state="success")
        plant(one, "unhealthy:", lambda one=one, run=run: _unhealthy(installed, one, run))
        one = bench()
        run = one.night(state="success")
        plant(
            one,
            "blocked:",
            lambda run=run: change(
                "update ml.nightly_runs set phases = %s where run_id = %s",
                json.dumps({"validate": {"blocked": {"complexity": "no rows"}}}),
                run.run_id,
            ),
        )
        one = bench()
        run = one.night()
        plant(
            one,
            "hung_run:",
            lambda run=run: change(
                "update ml.nightly_runs set started_at = now() - interval '4 hours' where run_id = %s", run.run_id
            ),
        )
        one = bench()
        plant(
            one,
            "missed_run:",
            lambda one=one: change(
                "update ml.clients set provisioned_at = now() - interval '3 days' where client_id = %s", one.client_id
            ),
        )
        one = bench()
        one.night(state="failed")
        plant(one, "run_failed:", lambda one=one: _failed(installed, one.slug, heard))
    found.append(Trouble(None, "component:scheduler", lambda: state.update(scheduler={"status": "unhealthy"})))
    return found


def _unhealthy(installed: Installation, one: Bench, run: Run) -> None:
    row = {"client_id": one.client_id, "model": one.spec.model, "run_id": run.run_id}
    nights.insert(installed.primary, "model_health", row | {"status": "unhealthy", "reason": "does not answer"})


def _failed(installed: Installation, slug: str, heard: Heard) -> None:
    """The DAG's callback and the scheduler's listener, at once."""
    alert = alerts.nightly_failed(slug, "a night", "killed", failed_tasks=["train"], attempt=1)
    both = [threading.Thread(target=_send, args=(installed, [alert], heard)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()


@contextmanager
def _airflow() -> Iterator[tuple[str, dict[str, Any]]]:
    """What the watchdog sees of Airflow: the answer of one endpoint, which the bench can change."""
    state: dict[str, Any] = {name: {"status": "healthy"} for name in watchdog.COMPONENTS}

    class Endpoint(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = json.dumps(state).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", state
    finally:
        server.shutdown()
        server.server_close()


def _of_the_troubles(measured: Measured, planted: Sequence[Trouble], heard: Heard) -> None:
    waits, missed, double = [], 0, 0
    for trouble in planted:
        mine = [at for at, slug, cause in heard.messages if slug == trouble.slug and cause.startswith(trouble.cause)]
        missed += not mine
        double += max(0, len(mine) - 1)
        if mine:
            waits.append(min(mine) - trouble.at)
    foreign = [
        (slug, cause)
        for _, slug, cause in heard.messages
        if not any(slug == one.slug and cause.startswith(one.cause) for one in planted)
    ]
    # A message that nobody has planted is one too many.
    double += len(foreign)
    measured.values["time_to_alert_s"] = max(waits) if waits else float("nan")
    measured.details["time_to_alert_s"] = (
        f"the slowest of {len(waits)}; median {statistics.median(waits):.0f} s" if waits else "nothing was told"
    )
    measured.values["alerts_missed"] = missed
    measured.details["alerts_missed"] = f"of {len(planted)} troubles of six kinds"
    measured.values["alerts_double"] = double
    measured.details["alerts_double"] = f"{len(heard.messages)} messages" + (
        f"; nobody's: {foreign}" if foreign else ""
    )


# --- Together


def run(
    say: Callable[[str], None] = lambda line: None,
    *,
    seed: int = 0,
    plan: Plan | None = None,
    installed: Installation | None = None,
) -> Measured:
    """On these servers, or on throw-away ones."""
    if installed is None:
        with installation() as made:
            return run(say, seed=seed, plan=plan, installed=made)
    plan = plan or Plan(threads=max(1, os.cpu_count() or 1))
    measured = Measured()
    say(f"troubles, and who is told ({plan.every:.0f} s between two looks)")
    _of_the_troubles(measured, *troubles(installed, plan, seed, say))
    count = plan.still + plan.harmless + plan.harmful
    say(f"{plan.days} nights of {count} clients")
    _of_the_year(measured, year(installed, plan, seed, say), plan)
    measured.values = {name: measured.values[name] for name in GOALS}
    return measured


def table(measured: Measured) -> Table:
    found = Table(title="The watch")
    for column in ("", "measured", "goal", "what"):
        found.add_column(column)
    for name, value in measured.values.items():
        found.add_row(name, f"{value:.3g}", GOALS[name], measured.details.get(name, ""))
    return found


def as_json(measured: Measured) -> str:
    return json.dumps({name: round(float(value), 4) for name, value in measured.values.items()})
