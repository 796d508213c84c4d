"""A client's history lived again, step by step: what its nights would have come to, and what would have been served.

Every step is a night of its own: the platform's rows as they stood at its moment, then the phases of any night with
that moment as `as_of`. Such runs promote although their moment is past. That would be wrong on any real installation,
so it is refused unless the primary's server says by its `cluster_name` that it is thrown away afterwards: a setting
that only the configuration of the server itself can make, no session, role or database.

What would have been answered is asked at the end, of the models that served at the time: rows as of their own moment,
by the feature SQL that a training reads them with, each by the model that served when it came up. That is what a
request at that moment would have been answered (a test asks both ways), and costs one statement instead of one per row.
"""

from __future__ import annotations

import datetime
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg import sql

from include.foresight import champions, clients, features, model_specs, names, nightly, pgml, ranges, runs
from include.foresight.champions import Champion
from include.foresight.database import Databases, Transaction
from include.foresight.errors import ForesightError
from include.foresight.model_specs import ModelSpec
from include.foresight.rungs import BOOSTED, LINEAR, PRIOR, RECENT
from include.foresight.sql import statement

log = logging.getLogger(__name__)

WEEK = datetime.timedelta(weeks=1)
# A history of ten years in 520 nights would take hours, and most of them would see nearly the rows of the night before.
MOST_STEPS = 60

MODELS = (BOOSTED, LINEAR)
INTERVALS = (50, 80)

ASK_SECONDS = 600.0

# A window limits what is learned from, not what is asked: the answers of the whole history are compared.
NO_WINDOW = 12_000


@dataclass(frozen=True)
class Answer:
    """One row, asked at its moment. `served`: what would have been answered, by `rung`; `simple`: the simple rung;
    `library`: the document's algorithm with the engine's defaults, where it was trained; `intervals`: low and high by
    share in per cent."""

    entity_id: int
    moment: datetime.datetime
    known_at: datetime.datetime
    label: float
    slice: str
    known_labels: int
    simple: float
    served: float
    rung: str
    version: int
    library: float | None = None
    intervals: Mapping[int, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One night: what the gate decided (None: nothing was judged) and what has served since, up to the next."""

    as_of: datetime.datetime
    decision: str | None
    rung: str | None
    version: int
    sentence: str
    seconds: float


@dataclass
class Replayed:
    """`answers` by moment; `seconds` of the whole."""

    slug: str
    model: str
    steps: list[Step]
    answers: list[Answer]
    seconds: float


@dataclass
class _Period:
    """What served from `after` on. `rule`: of its ranges, as it was learned then."""

    after: datetime.datetime
    champion: Champion | None
    rule: Mapping[str, Any] | None
    library: int | None


def moments(first: datetime.datetime, last: datetime.datetime) -> list[datetime.datetime]:
    """When the nights are lived: week by week, of a longer history in MOST_STEPS steps."""
    step = max(WEEK, (last - first) / MOST_STEPS)
    return [first + step * n for n in range(1, math.ceil((last - first) / step))]


@dataclass
class Replay:
    """`show(moment)`: make the platform's tables hold what they held then; called for every step, and at the end.
    `library`: also train the document's algorithm with the engine's defaults, on the same rows.

    Raises ReplayRefused on servers that are not thrown away afterwards.
    """

    databases: Databases
    slug: str
    model: str
    show: Callable[[datetime.datetime], None]
    library: bool = False

    def live(
        self,
        first: datetime.datetime,
        last: datetime.datetime,
        say: Callable[[int, int], None] = lambda done, of: None,
    ) -> Replayed:
        """The client's history from its first row's moment to its last row's. `say(done, of)`: after every step."""
        began = time.monotonic()
        with self.databases.primary() as primary:
            runs.check_throw_away(primary)
        nights = moments(first, last)
        steps, periods, library = [], [_Period(datetime.datetime.min, None, None, None)], None
        for done, as_of in enumerate(nights, start=1):
            self.show(as_of)
            step, period = self._night(as_of, library)
            library = period.library
            steps.append(step)
            periods.append(period)
            say(done, len(nights))
        end = last + datetime.timedelta(seconds=1)
        self.show(end)
        answers = self._answers(end, periods)
        return Replayed(self.slug, self.model, steps, answers, time.monotonic() - began)

    @property
    def _request(self) -> dict[str, Any]:
        return {"models": [self.model], "trigger": runs.REPLAY}

    def _night(self, as_of: datetime.datetime, library: int | None) -> tuple[Step, _Period]:
        began = time.monotonic()
        dag_run_id = f"replay__{as_of.isoformat()}"
        nightly.prepare(self.databases, self.slug, dag_run_id, self._request | {"as_of": as_of.isoformat()})
        states, found = {"prepare": "success"}, {}
        for phase in ("validate", "train", "gate", "enrich"):
            try:
                found[phase] = nightly.PHASES[phase](self.databases, self.slug, dag_run_id)
                states[phase] = "success"
            except ForesightError as error:
                log.warning("%s, %s: %s: %s", self.slug, as_of.date(), phase, error)
                states[phase] = "failed"
                if phase == "validate":
                    break
        nightly.report(self.databases, self.slug, dag_run_id, states)
        with self.databases.primary() as primary:
            with primary.as_fleet() as fleet:
                client = clients.read(fleet, self.slug)
            with primary.as_client(client.client_id) as tx:
                champion = champions.read(tx, client.client_id).get(self.model)
                rule = ranges.current(tx, client.client_id, self.model)
        trained = found.get("train", {}).get(self.model, {})
        if self.library and trained.get("status") == "trained":
            library = self._library(client, dag_run_id) or library
        gated = found.get("gate", {}).get(self.model, {})
        step = Step(
            as_of=as_of,
            decision=gated.get("decision"),
            rung=champion.rung if champion else None,
            version=champion.version if champion else 0,
            sentence=gated.get("sentence") or trained.get("reason") or "",
            seconds=time.monotonic() - began,
        )
        return step, _Period(as_of, champion, rule, library)

    def _library(self, client: clients.Client, dag_run_id: str) -> int | None:
        """The document's algorithm as the engine has it by default, on the same training rows; its id in pgml."""
        spec = self._spec(client)
        run = runs.find(self.databases, self.slug, dag_run_id)
        with self.databases.primary() as primary, primary.as_client(client.client_id) as tx:
            training = next(row for row in tx.all("training/of_run", {"run_id": run.run_id}))
        schema, view = names.client_schema(client.client_id), names.fold_view(training["training_table"])
        place = sql.Identifier(schema, view)
        with self.databases.session(client.replica_conn_id) as replica:
            with replica.as_client(client.client_id) as tx:
                tx.run("features/drop_view", view=place)
                tx.run(
                    "features/order",
                    table=sql.Identifier(schema, training["training_table"]),
                    view=place,
                    label=sql.SQL("label::integer") if spec.task == "classification" else sql.SQL("label"),
                    name=pgml.LABEL,
                    features=features.listed(training["feature_names"]),
                )
            try:
                trained = pgml.train(
                    self.databases,
                    client.replica_conn_id,
                    client.client_id,
                    project=names.project(f"library_{spec.model}", client.client_id, spec.version),
                    task=spec.task,
                    relation=f"{schema}.{view}",
                    algorithm=spec.algorithm,
                    hyperparams={},
                    test_rows=training["rows_test"],
                    limit=spec.fit_seconds,
                    session=replica,
                )
            finally:
                with replica.as_client(client.client_id) as tx:
                    tx.run("features/drop_view", view=place)
        return trained.model_id

    def _spec(self, client: clients.Client) -> ModelSpec:
        [spec] = model_specs.chosen((self.model,), client.overrides)
        return spec

    # --- What would have been answered

    def _answers(self, end: datetime.datetime, periods: Sequence[_Period]) -> list[Answer]:
        with self.databases.primary() as primary, primary.as_fleet() as fleet:
            client = clients.read(fleet, self.slug)
        spec = self._spec(client)
        with self.databases.session(client.replica_conn_id) as replica:
            with replica.as_client(client.client_id, timeout=ASK_SECONDS) as tx:
                feature_names = gather(tx, spec, client.client_id, end)
                found: list[Answer] = []
                for period, following in zip(periods, [*periods[1:], None], strict=True):
                    until = following.after if following else datetime.datetime.max
                    found += _of_period(tx, spec, period, until, feature_names)
        return found


def gather(tx: Transaction, spec: ModelSpec, client_id: int, end: datetime.datetime) -> tuple[str, ...]:
    """Put every row whose label is known at `end` into the temporary table `lived`, as of its own moment; the names of
    the features."""
    if "window_months" in spec.settings:
        spec = replace(spec, settings={**spec.settings, "window_months": NO_WINDOW})
    tx.define(
        statement("replay/lived", features=features.select(spec)),
        features.parameters(spec, client_id, end, scoring=False),
    )
    return features.columns(tx, sql.Identifier("lived"))


def _of_period(
    tx: Transaction, spec: ModelSpec, period: _Period, until: datetime.datetime, feature_names: Sequence[str]
) -> list[Answer]:
    """The answers to what came up while the period's champion served."""
    tx.run("replay/forget_asked")
    tx.define(statement("replay/asked"), {"after": period.after, "until": until})
    rows = tx.all("replay/rows")
    if not rows:
        return []
    champion = period.champion
    with_model = (
        champion is not None
        and champion.pgml_model_id is not None
        and champion.feature_hash == features.feature_hash(feature_names)
        and pgml.exists(tx, champion.pgml_model_id, champion.model_name)
    )
    served = [row["simple"] for row in rows]
    if with_model:
        served = pgml.predictions(tx, features.scale(spec), champion.pgml_model_id, "asked", feature_names)
    library: Sequence[float | None] = [None] * len(rows)
    if period.library is not None:
        library = pgml.predictions(tx, pgml.Scale(spec.task, "identity"), period.library, "asked", feature_names)
    intervals = _intervals(tx, spec, period.rule, served)
    return [
        Answer(
            **row,
            served=answer,
            rung=champion.rung if with_model else (RECENT if row["known_labels"] else PRIOR),
            version=champion.version if champion else 0,
            library=other,
            intervals=around,
        )
        for row, answer, other, around in zip(rows, served, library, intervals, strict=True)
    ]


def _intervals(
    tx: Transaction, spec: ModelSpec, rule: Mapping[str, Any] | None, answers: Sequence[float]
) -> list[dict[int, tuple[float, float]]]:
    """Of quantities: the range of a probability holds a share, not an outcome."""
    if rule is None or spec.task == "classification":
        return [{} for _ in answers]
    return [
        {share: (said[f"low_{share}"], said[f"high_{share}"]) for share in INTERVALS}
        for said in ranges.of_answers(tx, rule, answers)
    ]
