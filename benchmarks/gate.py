"""Can the gate be fooled? Retrainings that are no better, better by a known gain, and trained on spoiled labels.

Everything goes the way of a night: rows in the client's schema on a replica, models trained by pgml there, judged and
promoted by `promotion.gate` with its state on a primary. Data are generated, of three shapes, and real to nobody:

- heavy: points of Fibonacci steps with a long tail
- normal: a bounded quantity with bell-shaped noise
- binary: labels of 0 and 1, judged by the area under the curve

`measure()` takes some minutes on two cores and returns the figures by their names, and the same by shape.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import itertools
import json
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

import demo
from include.foresight import features, gates, model_specs, pgml, promotion
from include.foresight.database import REPLICA, Databases
from include.foresight.deployment import Passwords
from include.foresight.model_specs import ModelSpec
from include.foresight.rungs import BOOSTED
from tests.support import nights
from tests.support.installation import Installation
from tests.support.nights import Bench, Model
from tests.support.servers import Servers

STEPS = np.array([0.5, 1, 2, 3, 5, 8, 13, 21, 34, 55, 100])
WIDTH = 12
NAMES = tuple(f"f{n:02}" for n in range(WIDTH))
SLICES = ("A", "B", "C", "D")

# Rows to learn from and later ones; the last ones are there to know the truth, and nobody judges on them.
SIZES = {"large": (900, 400), "small": (300, 100)}
BEYOND = 3000
GAIN, NEAR = 0.15, 0.03

# A year of nights: the window is of a year and a half and holds so many rows; others come at the same pace.
WINDOW, WINDOW_DAYS, NIGHTS = 600, 547, 365


@dataclass(frozen=True)
class Shape:
    """`hyperparams` as in the spec but for fewer trees, so that a thousand fits take minutes; `few`: the share of the
    rows that makes a model worse by about `GAIN`, to begin with."""

    name: str
    model: str
    hyperparams: Mapping[str, Any]
    few: float

    @property
    def spec(self) -> ModelSpec:
        return replace(model_specs.read(self.model), bounds={}, hyperparams=self.hyperparams)

    def rows(self, chance: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features, labels, and what another label of a row could have been."""
        x = chance.standard_normal((count, WIDTH))
        signal = 0.5 * x[:, 0] + 0.4 * np.abs(x[:, 1]) + 0.5 * x[:, 2] * (x[:, 3] > 0)
        if self.name == "heavy":
            wished = np.log(3) + 0.9 * signal + 0.4 * chance.standard_t(3, count)
            labels = STEPS[np.abs(wished[:, None] - np.log(STEPS)).argmin(axis=1)]
        elif self.name == "normal":
            labels = np.clip(5 + 3 * signal + 1.5 * chance.standard_normal(count), 0.5, None)
        else:
            labels = (chance.random(count) < 1 / (1 + np.exp(1.0 - 2.5 * (signal - signal.mean())))).astype(float)
        return x, labels, 1 - labels if self.name == "binary" else chance.permutation(labels)

    def simple(self, labels: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The median of the last twenty; of classes a guess by something that matters little."""
        if self.name == "binary":
            return 0.35 + 0.02 * np.tanh(x[:, 3])
        before = np.concatenate([np.full(20, np.median(labels)), labels])
        return np.median(np.lib.stride_tricks.sliding_window_view(before, 20)[: len(labels)], axis=1)


SHAPES = (
    Shape("heavy", "complexity", {"n_estimators": 80, "max_depth": 5, "learning_rate": 0.08, "subsample": 0.8}, 0.15),
    Shape("normal", "complexity", {"n_estimators": 80, "max_depth": 5, "learning_rate": 0.08, "subsample": 0.8}, 0.3),
    Shape(
        "binary",
        "rework",
        {"num_leaves": 31, "learning_rate": 0.08, "feature_fraction": 0.9, "num_iterations": 60},
        0.5,
    ),
)


@dataclass
class Trial(Bench):
    """A client of the bench whose rows are generated."""

    shape: Shape = SHAPES[0]
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def feature_hash(self) -> str:
        return features.feature_hash(NAMES)

    def fill(self, chance: np.random.Generator, parts: Sequence[tuple[str, int]], nights_of: np.ndarray | None) -> None:
        """Rows, so many of each part, an hour apart or on these nights."""
        count = sum(size for _, size in parts)
        x, labels, other = self.shape.rows(chance, count)
        simple = self.shape.simple(labels, x)
        part = np.repeat([name for name, _ in parts], [size for _, size in parts])
        with self.databases.session(REPLICA) as replica, replica.as_client(self.client_id) as tx:
            tx.connection.execute("drop table if exists bench cascade")
            columns = sql.SQL(", ").join(sql.SQL("{} float8").format(sql.Identifier(name)) for name in NAMES)
            tx.connection.execute(
                sql.SQL(
                    "create table bench (client_id integer, entity_id bigint, moment timestamp, known_at timestamp,"
                    " label float8, other float8, simple float8, known_labels integer, slice text, excluded text,"
                    " part text, {})"
                ).format(columns)
            )
            with tx.connection.cursor().copy("copy bench from stdin") as copy:
                for n in range(count):
                    moment = self.moment(n) if nights_of is None else night_of(int(nights_of[n]), n)
                    slice_ = SLICES[n % len(SLICES)]
                    fixed = (self.client_id, n + 1, moment, moment, labels[n], other[n], simple[n], n, slice_, None)
                    copy.write_row((*map(plain, fixed), str(part[n]), *map(float, x[n])))
            tx.connection.execute("create unique index on bench (entity_id)")

    @staticmethod
    def moment(row: int) -> datetime.datetime:
        return nights.ago(400) + datetime.timedelta(hours=row)

    def learn(self, table: str, *, seed: int, bootstrap: bool = False, spoiled: float = 0.0, share: float = 1.0) -> int:
        """A model of the training rows: all of them, as drawn anew, with spoiled labels, or of the last share; its id
        in pgml."""
        view = f"{table}_{next(self.numbers)}"
        label = sql.SQL("case when ml_chance(entity_id, {seed}) < {spoiled} then other else label end").format(
            seed=sql.Literal(seed + 7919), spoiled=sql.Literal(spoiled)
        )
        if self.shape.name == "binary":
            label = sql.SQL("({})::integer").format(label)
        else:
            label = sql.SQL("ln(1 + {})").format(label)
        drawn = sql.SQL("poisson(ml_chance(entity_id, {}))").format(sql.Literal(seed)) if bootstrap else sql.SQL("1")
        query = sql.SQL(
            "create view {view} as select {label} as label, {features} from ("
            " select *, row_number() over (partition by part order by moment desc, entity_id desc) as back,"
            " count(*) over (partition by part) as size from {table} where part in ('train', 'test')) as rows"
            " cross join lateral generate_series(1, case part when 'train' then {drawn} else 1 end)"
            " where (part = 'train' and back <= {share} * size) or (part = 'test' and back <= 20)"
            " order by part desc, moment, entity_id"
        ).format(
            view=sql.Identifier(view),
            label=label,
            features=features.listed(NAMES),
            table=sql.Identifier(table),
            drawn=drawn,
            share=sql.Literal(share),
        )
        with self.databases.session(REPLICA) as replica:
            with replica.as_client(self.client_id) as tx:
                tx.connection.execute(query)
            trained = pgml.train(
                self.databases,
                REPLICA,
                self.client_id,
                project=self.project,
                task=self.shape.spec.task,
                relation=f"{self.schema}.{view}",
                algorithm=self.shape.spec.algorithm,
                hyperparams=dict(self.shape.hyperparams) | {"seed": seed},
                test_rows=20,
                limit=60,
                session=replica,
            )
        return trained.model_id

    def judge(self, table: str, champion: int, challenger: int, cut_at: datetime.datetime) -> gates.Verdict | None:
        """What becomes of the challenger where nobody has looked yet; the decision, and the scores."""
        training = {"training_table": table, "feature_names": list(NAMES), "cut_at": cut_at, "rung": BOOSTED}
        before = self.trained(self.night(state="success"), champion, **training)
        self.serve(Model(before, champion), rung=BOOSTED)
        return self.decide(training, challenger)

    def decide(
        self, training: Mapping[str, Any], challenger: int, as_of: datetime.datetime | None = None
    ) -> str | None:
        run = self.night(as_of) if as_of else self.night()
        self.trained(run, challenger, **training)
        [decision] = promotion.gate(self.databases, run, [self.spec])
        return decision.decision

    def errors(self, table: str, models: Sequence[int]) -> list[float]:
        """Of each model on the rows that only the truth needs."""
        scale, place = features.scale(self.spec), sql.Identifier(self.schema, table)
        with self.databases.session(REPLICA) as replica, replica.as_client(self.client_id) as tx:
            tx.connection.execute(
                sql.SQL(
                    "create temporary table beyond on commit drop as"
                    " select row_number() over (order by entity_id) as position, * from {} where part = 'beyond'"
                ).format(place)
            )
            labels = [row[0] for row in tx.connection.execute("select label from beyond order by position")]
            said = [pgml.predictions(tx, scale, model, "beyond", NAMES) for model in models]
        return [float(gates.metrics(self.spec, labels, answers)["error"] or 0) for answers in said]


def plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def night_of(night: int, row: int = 0) -> datetime.datetime:
    """An instant of that night's day, apart for each row."""
    return nights.ago(400) + datetime.timedelta(days=night, seconds=row % 80000)


# Chance that a row and a seed decide, whoever asks; how often a draw with replacement takes a row.
FUNCTIONS = """
create or replace function public.ml_chance(id bigint, seed integer) returns float8 immutable parallel safe
language sql return (hashint8extended(id, seed) & 1048575)::float8 / 1048576;
create or replace function public.poisson(chance float8) returns integer immutable parallel safe
language sql return (chance > 0.36788)::integer + (chance > 0.73576)::integer + (chance > 0.91970)::integer
    + (chance > 0.98101)::integer + (chance > 0.99634)::integer;
"""


@contextlib.contextmanager
def installation() -> Iterator[Installation]:
    """Throw-away servers with everything of Foresight's on them."""
    servers = Servers()
    try:
        servers.start()
        password, name = secrets.token_urlsafe(12), "foresight_bench"
        with psycopg.connect(servers.primary.conninfo(), autocommit=True) as connection:
            connection.execute(sql.SQL("create role platform login password {}").format(sql.Literal(password)))
            connection.execute(sql.SQL("create database {} owner platform").format(sql.Identifier(name)))
        with psycopg.connect(servers.replica.conninfo(), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        made = Installation(
            primary=make_conninfo(servers.primary.conninfo(), dbname=name),
            replica=make_conninfo(servers.replica.conninfo(), dbname=name),
            platform=make_conninfo(servers.primary.conninfo(), dbname=name, user="platform", password=password),
            passwords=Passwords(app=secrets.token_urlsafe(12), replication=secrets.token_urlsafe(12)),
        )
        demo.create_platform(made.platform)
        made.install()
        yield made
    finally:
        servers.destroy()


@dataclass
class Counts:
    """Promotions out of trials, by what was tried and by shape; threads share it."""

    found: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    gains: dict[str, list[float]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, what: str, shape: Shape, decision: str | None, gain: float | None = None) -> None:
        with self.lock:
            self.found.setdefault((what, shape.name), []).append(int(decision == gates.PROMOTE))
            if gain is not None:
                self.gains.setdefault(shape.name, []).append(gain)

    def rate(self, what: str, shape: str | None = None) -> float:
        told = [
            one for (tried, of), all_ in self.found.items() for one in all_ if tried == what and shape in (None, of)
        ]
        return sum(told) / len(told) if told else float("nan")

    def number(self, what: str) -> int:
        return sum(len(all_) for (tried, _), all_ in self.found.items() if tried == what)


def one_set(trial: Trial, counts: Counts, size: str, seed: int, few: float) -> float:
    """One set of rows: retrainings of it that are none the better, spoiled ones, and a champion of too few rows. The
    share of rows for the next such champion."""
    shape, table = trial.shape, "bench"
    train, later = SIZES[size]
    beyond = BEYOND if size == "large" else 0
    trial.fill(
        np.random.default_rng([seed, len(shape.name)]), [("train", train), ("test", later), ("beyond", beyond)], None
    )
    cut = trial.moment(train - 1)
    drawn = [trial.learn(table, seed=10 * seed + n, bootstrap=True) for n in range(4)]
    for challenger in drawn[1:]:
        counts.add("null", shape, trial.judge(table, drawn[0], challenger, cut))
    whole, again = (trial.learn(table, seed=10 * seed + n) for n in (5, 6))
    counts.add("null", shape, trial.judge(table, whole, again, cut))
    for n in (7, 8):
        spoiled = trial.learn(table, seed=10 * seed + n, spoiled=0.3)
        counts.add("corrupted", shape, trial.judge(table, whole, spoiled, cut))
    if size != "large":
        return few
    shares = [few * by for by in (0.7, 1.0, 1.4)]
    weak = [trial.learn(table, seed=10 * seed + 9, share=min(share, 0.95)) for share in shares]
    *weak_errors, whole_error = trial.errors(table, [*weak, whole])
    gains = [1 - whole_error / error for error in weak_errors]
    place = int(np.abs(np.array(gains) - GAIN).argmin())
    if abs(gains[place] - GAIN) <= NEAR:
        counts.add("gain", shape, trial.judge(table, weak[place], whole, cut), gains[place])
    # More rows where the champion was too bad, fewer where it was too good.
    return float(np.clip(few * np.exp(2 * (gains[1] - GAIN)), 0.03, 0.7))


def one_year(trial: Trial, seed: int, say: Callable[[str], None]) -> list[str | None]:
    """Nights of a client whose rows come from the same source all the year, each with a retraining that is no better
    than any other; what was decided."""
    chance = np.random.default_rng([seed, 365])
    count = WINDOW + round(WINDOW * NIGHTS / WINDOW_DAYS)
    arrivals = np.sort(chance.integers(0, WINDOW_DAYS + NIGHTS, count))
    trial.fill(chance, [("none", count)], arrivals)
    changes, served = [], None
    for night in range(WINDOW_DAYS, WINDOW_DAYS + NIGHTS):
        table = f"year_{night}"
        with trial.databases.session(REPLICA) as replica, replica.as_client(trial.client_id) as tx:
            tx.connection.execute(
                sql.SQL(
                    "create view {} as select client_id, entity_id, moment, known_at, label, other, simple, slice,"
                    " {}, case when back <= {} then 'test' else 'train' end as part from ("
                    " select *, row_number() over (order by moment desc, entity_id desc) as back from bench"
                    " where moment < {}) as known where back <= {}"
                ).format(
                    sql.Identifier(table),
                    features.listed(NAMES),
                    sql.Literal(WINDOW // 4),
                    sql.Literal(night_of(night)),
                    sql.Literal(WINDOW),
                )
            )
            [(cut,)] = tx.connection.execute(
                sql.SQL("select max(moment) from {} where part = 'train'").format(sql.Identifier(table))
            ).fetchall()
        model = trial.learn(table, seed=1000 * seed + night, bootstrap=True)
        training = {"training_table": table, "feature_names": list(NAMES), "cut_at": cut, "rung": BOOSTED}
        if served is None:
            served = trial.trained(trial.night(night_of(night), state="success"), model, **training)
            trial.serve(Model(served, model), rung=BOOSTED)
            continue
        # The moment of the run is that up to which its rows are known.
        changes.append(trial.decide(training, model, night_of(night)))
        if len(changes) % 91 == 0:
            say(f"  {trial.shape.name}: night {len(changes)}, {changes.count(gates.PROMOTE)} promotions")
    return changes


def measure(
    installed: Installation | None = None, *, seed: int = 0, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """The four figures, and by shape; on these servers or on throw-away ones."""
    if installed is None:
        with installation() as made:
            return measure(made, seed=seed, say=say)
    began = time.monotonic()
    with psycopg.connect(installed.replica, autocommit=True) as connection:
        connection.execute(FUNCTIONS)
    counts, years, ids = Counts(), {}, itertools.count(900_001 + 1000 * seed)
    made = threading.Lock()

    def trial(shape: Shape, databases: Databases) -> Trial:
        with made:
            client_id = next(ids)
            installed.add_client(client_id)
            installed.catch_up()
        return Trial(installed, databases, client_id, shape.spec, shape=shape)

    def sets(shape: Shape, size: str, numbers: Sequence[int]) -> None:
        few = shape.few
        with nights.warm(installed) as databases:
            one = trial(shape, databases)
            for number in numbers:
                few = one_set(one, counts, size, seed + number, few)
        say(
            f"  {shape.name}, {size}: {counts.rate('null', shape.name):.1%} of null retrainings promoted so far, "
            f"{counts.rate('gain', shape.name):.0%} of true gains ({time.monotonic() - began:.0f} s)"
        )

    def year(shape: Shape, number: int) -> None:
        with nights.warm(installed) as databases:
            years[shape.name, number] = one_year(trial(shape, databases), seed + number, say)

    jobs: list[tuple[Callable[..., None], tuple[Any, ...]]] = [(year, (shape, 0)) for shape in SHAPES]
    for start in (0, 9):  # two jobs of a kind, so that both cores have work to the end
        for shape in SHAPES:
            jobs.append((sets, (shape, "large", range(100 + start, 108 + start))))
            jobs.append((sets, (shape, "small", range(200 + start, 209 + start))))
    with ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
        for job in [pool.submit(function, *arguments) for function, arguments in jobs]:
            job.result()
    return figures(counts, years) | {"gate_seconds": round(time.monotonic() - began)}


def figures(counts: Counts, years: Mapping[tuple[str, int], list[str | None]]) -> dict[str, Any]:
    decided = [decision for year in years.values() for decision in year]
    by_shape = {
        shape.name: {
            "false_promotion_rate": counts.rate("null", shape.name),
            "true_gain_promoted": counts.rate("gain", shape.name),
            "true_gain": float(np.mean(counts.gains.get(shape.name, [float("nan")]))),
            "corrupted_promoted": counts.rate("corrupted", shape.name),
        }
        for shape in SHAPES
    }
    return {
        "false_promotion_rate": counts.rate("null"),
        "null_retrainings": counts.number("null"),
        "false_promotions_per_model_year": decided.count(gates.PROMOTE) / len(years),
        "false_demotions_per_model_year": decided.count(gates.DEMOTE) / len(years),
        "model_years": len(years),
        # Of errors, and apart from them of ranks, which tell less (docs/gate.md).
        "true_gain_promoted": rate_of([shape.name for shape in SHAPES if shape.name != "binary"], counts, "gain"),
        "true_gain_of_ranks_promoted": counts.rate("gain", "binary"),
        "true_gains": counts.number("gain"),
        "corrupted_promoted": counts.rate("corrupted"),
        "corrupted": counts.number("corrupted"),
        "gate_by_shape": by_shape,
    }


def rate_of(shapes: Sequence[str], counts: Counts, what: str) -> float:
    told = [one for shape in shapes for one in counts.found.get((what, shape), [])]
    return sum(told) / len(told) if told else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    prepare_environment()
    # A SIGTERM would leave the servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(json.dumps(measure(seed=options.seed)), flush=True)


def prepare_environment() -> None:
    """What throw-away servers need to know of this machine, as `./foresight test` says it."""
    from launcher import instance as instances
    from launcher.system import postgres_bin, server_user

    os.environ.setdefault("FORESIGHT_PG_BIN", str(postgres_bin()))
    os.environ.setdefault("FORESIGHT_ENGINE_VENV", str(instances.engine_environment()))
    os.environ.setdefault("FORESIGHT_OS_USER", server_user().name)


if __name__ == "__main__":
    main()
