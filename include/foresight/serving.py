"""Predictions on request, from the replica alone: which rows are meant, what serves them, what it says, why.

An answer needs the replica; without it the last enrichment on the primary is given and said to be that. Every answer
has a row in the prediction log.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg
from cachetools import TTLCache
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool, PoolTimeout

from include.foresight import answering, champions, features, grades, guard, model_specs, pgml
from include.foresight.champions import Champion
from include.foresight.clients import Client
from include.foresight.database import Databases, Session, Transaction, is_away, is_unavailable, message
from include.foresight.errors import ConfigurationError, DatabaseBusy, ForesightError
from include.foresight.model_specs import ModelSpec
from include.foresight.pooling import open_session
from include.foresight.rungs import PRIOR, RECENT

log = logging.getLogger(__name__)

# A request that takes longer is ended on the server.
ANSWER_SECONDS = 10.0
# How long to wait for a session of the pool before saying that the database is busy or away, and on the server for a
# lock: what holds one longer (a copy that is made anew) does not hold requests.
POOL_SECONDS = 2.0
# A server that is cut off answers nothing at all, not even that it is late: then its sessions are given up, unless the
# connection says otherwise.
CUT_OFF = {"tcp_user_timeout": "10000"}
POOL_SIZE = 4

# An answer is used again while the row and what serves are the same. Not for long: histories go on and epics grow old.
CACHE_SECONDS = 600.0
CACHED_ANSWERS = 50_000
# A statement of features reads the client's history whatever it is asked for: one row costs as much as a hundred. So
# for a client that asks the newest rows are answered in advance, in one statement, and again before the answers are too
# old; never so often that it takes more than this share of the time.
ANTICIPATED = 10_000
ANTICIPATE_SECONDS = 60.0
ANTICIPATING = 0.02
TOP_REASONS = 5


class NoModelYet(ForesightError):
    """The client has had no night yet, so nothing serves it."""


class ReplicaAway(ForesightError):
    """Neither the replica answers in time nor is there an earlier prediction to fall back on."""


@dataclass(frozen=True)
class PooledDatabases(Databases):
    """Sessions from pools, one pool per connection. `connect` tells the address of an Airflow connection."""

    connect: Callable[[str], str]
    _pools: dict[str, ConnectionPool] = field(default_factory=dict)
    _in_use: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    # Why a pool has no session, where waiting does not help.
    _refused: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def session(self, conn_id: str) -> Iterator[Session]:
        with contextlib.ExitStack() as opened:
            try:
                connection = opened.enter_context(self._pool(conn_id).connection(timeout=POOL_SECONDS))
            except PoolTimeout as error:
                if conn_id in self._refused:
                    raise ConfigurationError(self._refused[conn_id]) from None
                # A pool that has lent sessions reaches its server.
                if self._in_use[conn_id] > 0:
                    raise DatabaseBusy("every session to the database is in use; try again in a second") from error
                raise
            self._count(conn_id, 1)
            opened.callback(self._count, conn_id, -1)
            yield Session(connection)

    def _count(self, conn_id: str, change: int) -> None:
        with self._lock:
            self._in_use[conn_id] += change

    def _pool(self, conn_id: str) -> ConnectionPool:
        with self._lock:
            pool = self._pools.get(conn_id)
            if pool is None:
                pool = self._pools[conn_id] = ConnectionPool(
                    make_conninfo("", **CUT_OFF | conninfo_to_dict(self.connect(conn_id))),
                    min_size=1,
                    max_size=POOL_SIZE,
                    kwargs={"autocommit": True},
                    configure=lambda connection: self._open(conn_id, connection),
                    reset=_reset,
                    # No check before use, which would cost every request a question: a broken session is found in use.
                    max_idle=300,
                    name=conn_id,
                    open=True,
                )
            return pool

    def _open(self, conn_id: str, connection: psycopg.Connection) -> None:
        try:
            open_session(connection)
        except ConfigurationError as error:
            self._refused[conn_id] = str(error)
            raise
        connection.execute(sql.SQL("set lock_timeout to {}").format(sql.Literal(f"{int(POOL_SECONDS * 1000)}ms")))
        self._refused.pop(conn_id, None)

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()


def _reset(connection: psycopg.Connection) -> None:
    """Nothing of one client is left on the session for the next: not even what no transaction ends. (A thread of the
    pool's does it, no request waits for it.)"""
    connection.execute("close all; discard temp", prepare=False)


@dataclass(frozen=True)
class Asked:
    """What a request names: keys of issues, or numbers of pull requests of one repository."""

    keys: tuple[str, ...] = ()
    repository: str | None = None
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reason:
    """A feature's share in the answer, on the scale of the model (log-odds for a probability)."""

    feature: str
    contribution: float


@dataclass(frozen=True)
class Answer:
    """One entity's prediction. `entity` has its columns; `excluded` says why it cannot be predicted (value None).
    `ranges`: low_50, high_50, low_80, high_80 and p85 in the unit of the value; None where none are learned yet.
    `fallback`: why the baseline gave it in place of the champion's model."""

    entity: Mapping[str, Any]
    value: float | None
    grade: str | None
    rung: str | None
    model_uuid: UUID | None
    prediction_uuid: UUID
    excluded: str | None = None
    ranges: Mapping[str, float] | None = None
    reasons: tuple[Reason, ...] | None = None
    fallback: str | None = None


@dataclass(frozen=True)
class Answers:
    """`unknown`: what was asked for and is not there. `last_known`: of the last enrichment, for the replica did not
    answer."""

    model_version: str
    predicted_at: datetime.datetime
    # UTC without a zone: the moment that the answers are of
    as_of: datetime.datetime
    answers: tuple[Answer, ...]
    unknown: tuple[str, ...]
    last_known: bool = False


@dataclass(frozen=True)
class _Scored:
    value: float
    from_prior: bool
    rung: str
    feature_hash: str
    ranges: Mapping[str, float] | None
    # JSON
    features: str
    names: tuple[str, ...]
    fallback: str | None


class Predictor:
    """Answers for one process. `write_log` takes rows of ml.prediction_log and must have kept them when it returns."""

    def __init__(self, databases: Databases, write_log: Callable[[Sequence[Mapping[str, Any]]], None]) -> None:
        self.databases, self._write_log = databases, write_log
        self._scored: TTLCache = TTLCache(CACHED_ANSWERS, CACHE_SECONDS)
        self._excluded: TTLCache = TTLCache(CACHED_ANSWERS, CACHE_SECONDS)
        self._clocks: TTLCache = TTLCache(1000, CACHE_SECONDS)
        self._lock = threading.Lock()
        # By client and model: whose turn it is to ask the database, and what is wanted by those who wait; and of the
        # champion whose answers were last computed in advance, its version and when they are due again.
        self._turns: dict[tuple[int, str], threading.Lock] = {}
        self._wanted: dict[tuple[int, str], dict[tuple, Mapping[str, Any]]] = defaultdict(dict)
        self._due: dict[tuple[int, str], tuple[int, float]] = {}
        self._ahead = ThreadPoolExecutor(1, "answers-in-advance")
        self._computing: psycopg.Connection | None = None
        self.anticipates = True
        # Entities, by client: how much another one asks is nobody's business.
        self.hits: Counter[int] = Counter()
        self.misses: Counter[int] = Counter()

    def close(self) -> None:
        """End what is computed in advance: nobody waits for it."""
        self._ahead.shutdown(wait=False, cancel_futures=True)
        computing = self._computing
        if computing is not None:
            with contextlib.suppress(psycopg.Error):
                computing.cancel_safe(timeout=POOL_SECONDS)

    def predict(self, client: Client, model: str, asked: Asked, *, explain: bool = False) -> Answers:
        """What serves the client says of these rows. Raises NoModelYet, ReplicaAway, DatabaseBusy, and
        UnknownModel."""
        spec = model_specs.read(model).for_client(client.overrides)
        began = time.monotonic()
        try:
            found = self._from_replica(client, spec, asked, explain)
        except psycopg.Error as error:
            if not is_unavailable(error):
                raise
            return self._last_known(client, spec, asked, error)
        self._write_log(self._log_rows(client, spec, found, began))
        return found.answers

    def _from_replica(self, client: Client, spec: ModelSpec, asked: Asked, explain: bool) -> _Found:
        moment = datetime.datetime.now(datetime.UTC)
        with self._as_client(client) as tx:
            champion = champions.read(tx, client.client_id).get(spec.model)
            if champion is None:
                raise NoModelYet(
                    f"client '{client.slug}' has no '{spec.model}' model yet: its first night has not been"
                )
            entities = _entities(tx, client, spec, asked)
            as_of = self._as_of(tx, client, moment)
        asking = _Asking(client, spec, champion, as_of)
        scored, excluded = self._scores(asking, entities)
        self._anticipate_soon(asking)
        reasons = {}
        if explain:
            with self._as_client(client) as tx:
                reasons = _explained(tx, champion, scored)
        answers = []
        for entity in entities:
            one = scored.get(entity["id"])
            if one is None:
                reason = excluded.get(entity["id"], "it is of another kind")
                answers.append(Answer(entity, None, None, None, None, uuid4(), excluded=reason))
                continue
            by_model = one.rung not in (RECENT, PRIOR)
            answers.append(
                Answer(
                    entity,
                    one.value,
                    grades.word(spec, one.value, one.ranges),
                    PRIOR if one.from_prior and not by_model else one.rung,
                    champion.model_uuid if by_model else None,
                    uuid4(),
                    ranges=one.ranges,
                    reasons=reasons.get(entity["id"]) if explain else None,
                    fallback=one.fallback,
                )
            )
        return _Found(
            Answers(champion.model_name, moment, as_of, tuple(answers), _unknown(entities, asked)),
            scored,
            champion,
            as_of,
        )

    def _as_of(self, tx: Transaction, client: Client, moment: datetime.datetime) -> datetime.datetime:
        """Now, or where a client's data ends at some moment, that one."""
        if client.clock == "wall":
            return moment.replace(tzinfo=None)
        with self._lock:
            known = self._clocks.get(client.client_id)
        if known is None:
            known = tx.one("serving/data_clock", {"client_id": client.client_id})["moment"]
            with self._lock:
                self._clocks[client.client_id] = known
        return known or moment.replace(tzinfo=None)

    @contextlib.contextmanager
    def _as_client(self, client: Client) -> Iterator[Transaction]:
        with self.databases.session(client.replica_conn_id) as replica:
            with replica.as_client(client.client_id, timeout=ANSWER_SECONDS) as tx:
                yield tx

    def _scores(
        self, asking: _Asking, entities: Sequence[Mapping[str, Any]]
    ) -> tuple[dict[int, _Scored], dict[int, str]]:
        """By entity id. Rows that were asked for lately, and have not changed, are not computed again. One request at a
        time asks the database for a client's model, for all that wait by then: ten rows cost no more than one."""
        scored, excluded, missing = self._known(asking, entities)
        own = {asking.key(one): one for one in missing}
        with self._lock:
            self.hits[asking.client.client_id] += len(entities) - len(missing)
            self.misses[asking.client.client_id] += len(missing)
            turn = self._turns.setdefault(asking.whose, threading.Lock())
            wanted = self._wanted[asking.whose]
            wanted.update(own)
        if not missing:
            return scored, excluded
        with turn:
            meanwhile, left_out, missing = self._known(asking, missing)
            scored, excluded = scored | meanwhile, excluded | left_out
            with self._lock:
                for key in own:
                    wanted.pop(key, None)
                others = []
                if missing:
                    others = list(wanted.values())
                    wanted.clear()
            if missing:
                with self._as_client(asking.client) as tx:
                    computed, unscored = self._compute(tx, asking, [*missing, *others])
                there = {entity_id for entity_id, _ in (*computed, *unscored)}
                for one in missing:
                    if (answer := computed.get(_entity(one))) is not None:
                        scored[one["id"]] = answer
                    elif (reason := unscored.get(_entity(one))) is not None:
                        excluded[one["id"]] = reason
                    elif one["id"] in there:
                        excluded[one["id"]] = "its row was replaced while it was asked about: ask again"
        return scored, excluded

    def _known(
        self, asking: _Asking, entities: Sequence[Mapping[str, Any]]
    ) -> tuple[dict[int, _Scored], dict[int, str], list[Mapping[str, Any]]]:
        scored, excluded, missing = {}, {}, []
        with self._lock:
            for one in entities:
                key = asking.key(one)
                if (answer := self._scored.get(key)) is not None:
                    scored[one["id"]] = answer
                elif (reason := self._excluded.get(key)) is not None:
                    excluded[one["id"]] = reason
                else:
                    missing.append(one)
        return scored, excluded, missing

    def _compute(
        self, tx: Transaction, asking: _Asking, entities: Sequence[Mapping[str, Any]]
    ) -> tuple[dict[_Entity, _Scored], dict[_Entity, str]]:
        """By what the rows are now: an id may be another's than when it was looked up."""
        ids = [one["id"] for one in entities]
        answered = answering.answer(tx, asking.spec, asking.client.client_id, asking.as_of, asking.champion, ids)
        new = {
            (row["entity_id"], row["key"]): _Scored(
                row["value"],
                row["from_prior"],
                answered.rung,
                answered.feature_hash,
                row["ranges"],
                row["features"],
                answered.feature_names,
                answered.remark,
            )
            for row in tx.all("serving/answers")
        }
        left_out = {(row["entity_id"], row["key"]): row["excluded"] for row in tx.all("serving/excluded")}
        with self._lock:
            for one in entities:
                # What answered in place of a broken champion is not kept: it may be mended in the next minute.
                if _entity(one) in new and answered.remark is None:
                    self._scored[asking.key(one)] = new[_entity(one)]
                elif _entity(one) in left_out:
                    self._excluded[asking.key(one)] = left_out[_entity(one)]
        return new, left_out

    # --- In advance

    def _anticipate_soon(self, asking: _Asking) -> None:
        version = asking.champion.version
        with self._lock:
            known, due = self._due.get(asking.whose, (None, 0.0))
            if not self.anticipates or (known == version and due > time.monotonic()):
                return
            self._due[asking.whose] = (version, math.inf)
        with contextlib.suppress(RuntimeError):  # closing
            self._ahead.submit(self._anticipate, asking)

    def _anticipate(self, asking: _Asking) -> None:
        """Answer the newest rows in one statement. It may fail: then requests compute what they ask for."""
        began = time.monotonic()
        source = features.SOURCES[asking.spec.entity]

        def compute(tx: Transaction) -> None:
            self._computing = tx.connection
            values = {"client_id": asking.client.client_id, "most": ANTICIPATED}
            entities = tx.all("serving/likely", values, source=source)
            if entities:
                self._compute(tx, asking, entities)

        try:
            with self.databases.session(asking.client.replica_conn_id) as replica:
                guard.on_copies(self.databases, asking.client, replica, compute, timeout=ANTICIPATE_SECONDS, patience=0)
        except (psycopg.Error, ForesightError) as error:
            log.warning("%s/%s: nothing in advance: %s", asking.client.slug, asking.spec.model, message(error))
        finally:
            self._computing = None
            ended = time.monotonic()
            due = ended + max(0.75 * CACHE_SECONDS, (ended - began) / ANTICIPATING)
            with self._lock:
                if self._due[asking.whose][0] == asking.champion.version:
                    self._due[asking.whose] = (asking.champion.version, due)

    def _last_known(self, client: Client, spec: ModelSpec, asked: Asked, error: Exception) -> Answers:
        """The last enrichment on the primary."""
        try:
            with self.databases.primary() as primary, primary.as_client(client.client_id) as tx:
                rows = tx.all(
                    "serving/last_known_issues" if spec.entity == "issue" else "serving/last_known_pull_requests",
                    _values(asked) | {"client_id": client.client_id, "model": spec.model},
                )
        except (psycopg.Error, DatabaseBusy):
            rows = []
        if not rows:
            how = "does not answer" if is_away(error) else "does not answer in time"
            raise ReplicaAway(
                f"the replica of client '{client.slug}' {how}, and these rows were never predicted before"
            ) from error
        answers = tuple(
            Answer(
                row,
                row["value"],
                row["grade"],
                row["rung"],
                row["model_uuid"],
                row["prediction_uuid"],
                ranges=row["ranges"],
            )
            for row in rows
        )
        moment = max(row["predicted_at"] for row in rows)
        as_of = max(row["as_of"] for row in rows)
        return Answers(spec.project_name, moment, as_of, answers, _unknown(rows, asked), last_known=True)

    def _log_rows(self, client: Client, spec: ModelSpec, found: _Found, began: float) -> list[dict[str, Any]]:
        milliseconds = round((time.monotonic() - began) * 1000)
        rows = []
        for answer in found.answers.answers:
            if answer.value is None:
                continue
            scored = found.scored[answer.entity["id"]]
            rows.append(
                {
                    "prediction_uuid": answer.prediction_uuid,
                    "client_id": client.client_id,
                    "model": spec.model,
                    "model_name": found.champion.model_name,
                    "model_uuid": answer.model_uuid,
                    "rung": answer.rung,
                    "entity": spec.entity,
                    "entity_id": answer.entity["id"],
                    "entity_key": answer.entity["key"],
                    "prediction_value": answer.value,
                    "ranges": scored.ranges,
                    "input_features": scored.features,
                    "feature_hash": scored.feature_hash,
                    "response_time_ms": milliseconds,
                    "as_of": found.as_of,
                    "created_at": found.answers.predicted_at,
                }
            )
        return rows


@dataclass(frozen=True)
class _Asking:
    """Whose model, what serves, and the moment that is asked about."""

    client: Client
    spec: ModelSpec
    champion: Champion
    as_of: datetime.datetime

    @property
    def whose(self) -> tuple[int, str]:
        return self.client.client_id, self.spec.model

    def key(self, entity: Mapping[str, Any]) -> tuple:
        return cache_key(self.client, self.spec, self.champion, entity)


_Entity = tuple[int, str | None]


def _entity(row: Mapping[str, Any]) -> _Entity:
    """What a row is, by its id and its key."""
    return row["id"], row["key"]


def cache_key(client: Client, spec: ModelSpec, champion: Champion, entity: Mapping[str, Any]) -> tuple:
    """What serves is part of it, so a promotion is a miss; so is the client: an id alone is another's as well."""
    return (client.client_id, spec.model, champion.version, champion.model_uuid, entity["id"], entity["version"])


@dataclass(frozen=True)
class _Found:
    answers: Answers
    scored: Mapping[int, _Scored]
    champion: Champion
    as_of: datetime.datetime


def _entities(tx: Transaction, client: Client, spec: ModelSpec, asked: Asked) -> list[dict[str, Any]]:
    """The rows that are meant, each with what its version is; of keys that several rows have, the oldest row."""
    return tx.all(
        "serving/issues" if spec.entity == "issue" else "serving/pull_requests",
        _values(asked) | {"client_id": client.client_id},
    )


def _values(asked: Asked) -> dict[str, Any]:
    return {"keys": list(asked.keys), "repository": asked.repository, "numbers": list(asked.numbers)}


def _unknown(entities: Sequence[Mapping[str, Any]], asked: Asked) -> tuple[str, ...]:
    if asked.repository is not None:
        there = {entity["number"] for entity in entities}
        return tuple(str(number) for number in asked.numbers if number not in there)
    there = {entity["key"] for entity in entities}
    return tuple(key for key in asked.keys if key not in there)


def _explained(tx: Transaction, champion: Champion, scored: Mapping[int, _Scored]) -> dict[int, tuple[Reason, ...]]:
    """The strongest reasons per entity, where a model answered that can be explained."""
    by_model = {entity_id: one for entity_id, one in scored.items() if one.rung not in (RECENT, PRIOR)}
    if champion.pgml_model_id is None or not by_model:
        return {}
    rows = []
    for one in by_model.values():
        given = json.loads(one.features)
        rows.append([given[name] for name in one.names])
    found = {}
    for entity_id, shares in zip(by_model, pgml.explain(tx, champion.pgml_model_id, rows), strict=False):
        strongest = sorted(shares.items(), key=lambda share: -abs(share[1]))
        found[entity_id] = tuple(Reason(feature, share) for feature, share in strongest[:TOP_REASONS])
    return found
