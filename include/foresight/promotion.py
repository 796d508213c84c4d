"""Judge a run's new models and move what serves, or go back: one transaction on the primary, by compare-and-set.

The model is committed on the replica first and never changes. `pgml.deploy` comes after the promotion, for people who
look at pgml.deployed_models, and decides nothing.

The gate remembers its looks in ml.gate_verdicts: a row is new to the comparison with what serves until a look has seen
its label, whichever champion it was compared with. After a rollback only rows count that became known since.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from include.foresight import champions, clients, features, gates, model_specs, names, pgml, ranges, runs
from include.foresight.champions import Champion
from include.foresight.database import Databases, Session, Transaction, is_away, message
from include.foresight.errors import ForesightError
from include.foresight.gates import Judged, Verdict
from include.foresight.model_specs import ModelSpec
from include.foresight.rungs import RECENT
from include.foresight.runs import Run
from include.foresight.sql import statement

log = logging.getLogger(__name__)


# What `prepare` keeps to go back to, of each model.
RESTORABLE = 3


class ChampionMoved(ForesightError):
    """What serves was changed by somebody else between the judgement and the promotion: judge again."""


class NothingToRestore(ForesightError):
    """There is no such earlier champion, or its model cannot serve any more."""


@dataclass(frozen=True)
class Decision:
    """`decision` None: there was nothing to judge."""

    model: str
    decision: str | None
    served_by: str | None
    sentence: str


def gate(databases: Databases, run: Run, specs: Sequence[ModelSpec]) -> list[Decision]:
    """Judge every model that this run has trained, and promote, keep or demote."""
    client = run.client
    with databases.locked(client.client_id) as primary, databases.session(client.replica_conn_id) as replica:
        with primary.as_client(client.client_id) as tx:
            trainings = {row["model"]: row for row in tx.all("training/of_run", {"run_id": run.run_id})}
            judged = {row["model_uuid"]: row for row in tx.all("gates/of_run", {"run_id": run.run_id})}
            serving = champions.read(tx, client.client_id)
            seen = {row["model"]: row for row in tx.all("gates/seen", run.values)}
            binding = runs.is_binding(tx, run)
        if binding and run.request.trigger == runs.REPLAY:
            runs.check_throw_away(primary)  # the only runs of the past that may promote, on servers of their own
        gate = _Gate(run, primary, replica, seen, binding=binding)
        found = []
        for spec in specs:
            training, champion = trainings.get(spec.model), serving.get(spec.model)
            if training is None:
                continue
            verdict = judged.get(training["model_uuid"])
            if verdict is None:
                found.append(gate.decide(spec, training, champion))
            else:  # by an earlier try of this run
                served_by = champion.rung if champion else None
                found.append(Decision(spec.model, verdict["decision"], served_by, verdict["sentence"]))
        return found


@dataclass
class _Gate:
    """`seen`: by model, the moments `looked_until` and `decided_until` of the champions that were read. `binding`
    false: judge, but leave what serves as it is (a dry run, or a run of the past)."""

    run: Run
    primary: Session
    replica: Session
    seen: Mapping[str, Mapping[str, Any]]
    binding: bool

    @property
    def client_id(self) -> int:
        return self.run.client.client_id

    def decide(self, spec: ModelSpec, training: Mapping[str, Any], champion: Champion | None) -> Decision:
        if training["status"] == "trained":
            return self._judge(spec, training, champion)
        if self.binding and training["status"] != "unchanged":
            rows = {ranges.SIMPLE: self._of_simple(spec, training)}
            if training["status"] == "not_due" and champion is not None:
                rows |= self._of_champion(spec, training, champion)
            with self.primary.as_client(self.client_id) as tx:
                self._learn(tx, spec, rows, champion.model_uuid if champion else None, champion)
        if champion is None and self.binding:
            return self._let_recent_serve(spec, training)
        return Decision(spec.model, None, champion.rung if champion else None, training["reason"] or training["status"])

    def _judge(self, spec: ModelSpec, training: Mapping[str, Any], champion: Champion | None) -> Decision:
        judged, answered = self._answers(spec, training, champion)
        verdict = gates.judge(
            spec, judged, served_by=champion.rung if champion else None, models=len(model_specs.names())
        )
        target = None
        if self.binding and verdict.decision == gates.PROMOTE:
            target = self._target(spec, training["rung"], training)
        elif self.binding and verdict.decision == gates.DEMOTE:
            target = self._target(spec, RECENT, None)
        with self.primary.as_client(self.client_id) as tx:
            verdict_id = self._record(tx, spec, training, champion, verdict)
            if target is not None:
                move(tx, self.client_id, spec.model, champion, target, verdict_id, self._actor, verdict.sentence)
            if self.binding:
                serves = target["model_uuid"] if target else champion.model_uuid if champion else None
                self._learn(tx, spec, answered, serves, champion)
        if target is not None and target["pgml_model_id"] is not None:
            deploy(self.replica, self.client_id, target["pgml_model_id"])
        served_by = target["rung"] if target else (champion.rung if champion else None)
        return Decision(spec.model, verdict.decision, served_by, verdict.sentence)

    def _let_recent_serve(self, spec: ModelSpec, training: Mapping[str, Any]) -> Decision:
        """A client without any champion is answered by the simple rung from the first night on."""
        reason = training["reason"] or f"training is {training['status']}"
        with self.primary.as_client(self.client_id) as tx:
            move(tx, self.client_id, spec.model, None, self._target(spec, RECENT, None), None, self._actor, reason)
        return Decision(spec.model, None, RECENT, reason)

    @property
    def _actor(self) -> str:
        return f"nightly {self.run.run_id}"

    def _target(self, spec: ModelSpec, rung: str, training: Mapping[str, Any] | None) -> dict[str, Any]:
        return {
            "rung": rung,
            "model_uuid": training["model_uuid"] if training else None,
            "model_name": names.project(spec.project_name, self.client_id, spec.version),
            "replica_conn_id": self.run.client.replica_conn_id,
            "pgml_model_id": training["pgml_model_id"] if training else None,
            "feature_hash": training["feature_hash"] if training else None,
        }

    def _learn(
        self,
        tx: Transaction,
        spec: ModelSpec,
        answered: Mapping[UUID, Sequence[ranges.Row]],
        serves: UUID | None,
        champion: Champion | None,
    ) -> None:
        """Ranges of what serves from now on and of the simple rung, which may have to answer in its place. A new model
        starts at the levels of the one before."""
        known = ranges.known(tx, self.client_id, spec.model)
        labels = [row.label for row in reversed(answered[ranges.SIMPLE]) if row.over]
        inherited = known.get(champion.model_uuid or ranges.SIMPLE) if champion else None
        for answered_by in (ranges.SIMPLE, serves):
            rows = answered.get(answered_by)
            before = known.get(answered_by)
            if rows is None or (answered_by != ranges.SIMPLE and before is not None and len(rows) < ranges.LEAST):
                continue  # after a rollback few rows count: the model's own rule of before knows more
            learned = ranges.learn(spec, rows, labels, before or inherited, follows=before is not None)
            ranges.keep(tx, self.client_id, spec.model, answered_by, learned, self.run.values)
        ranges.forget(tx, self.client_id, spec.model, RESTORABLE)

    def _of_simple(self, spec: ModelSpec, training: Mapping[str, Any]) -> list[ranges.Row]:
        """What the simple rung said of the labels that are known; nothing where the run has no table."""
        if training["training_table"] is None:
            return []
        table = sql.Identifier(names.client_schema(self.client_id), training["training_table"])
        with self.replica.as_client(self.client_id) as tx:
            rows = {ranges.SIMPLE: ranges.labelled(tx, spec, table, self.run.as_of)}
            return ranges.recall(tx, self.client_id, spec, rows)[ranges.SIMPLE]

    def _of_champion(
        self, spec: ModelSpec, training: Mapping[str, Any], champion: Champion
    ) -> dict[UUID, list[ranges.Row]]:
        """What the model in service says of the labels that came after it was trained: its ranges follow them although
        nothing is trained tonight."""
        cut = self._cut_of(champion) if self._can_be_asked(champion, training) else None
        if cut is None:
            return {}
        table = sql.Identifier(names.client_schema(self.client_id), training["training_table"])
        scale = features.scale(spec)
        nobody_looked = {"looked_until": None, "decided_until": None}
        with self.replica.as_client(self.client_id) as tx:
            tx.define(statement("gates/judged_rows", table=table), {"after": cut} | nobody_looked)
            rows = tx.all("gates/labels", nobody_looked)
            answers = self._theirs(tx, scale, champion, training["feature_names"])
            if answers is None:
                return {}
            tx.define(statement("training/censored_rows", table=table), {"as_of": self.run.as_of, "cut_at": cut})
            open_still = [row["at_least"] for row in tx.all("training/censored_answers")]
            found = _with_open(tx, scale, rows, answers, open_still, champion.pgml_model_id, training["feature_names"])
            return ranges.recall(tx, self.client_id, spec, {champion.model_uuid: found})

    def _answers(
        self, spec: ModelSpec, training: Mapping[str, Any], champion: Champion | None
    ) -> tuple[Judged, dict[UUID, list[ranges.Row]]]:
        """What challenger, champion and simple rung say of the rows that neither model was trained on: for the gate,
        and by who answered for the ranges."""
        scale, feature_names = features.scale(spec), training["feature_names"]
        table = sql.Identifier(names.client_schema(self.client_id), training["training_table"])
        asked = champion if champion and self._can_be_asked(champion, training) else None
        after = training["cut_at"]
        if asked:
            after = max(after, self._cut_of(asked) or after)
        seen = self.seen.get(spec.model) or {"looked_until": None, "decided_until": None}
        with self.replica.as_client(self.client_id) as tx:
            tx.define(statement("gates/judged_rows", table=table), {"after": after} | dict(seen))
            rows = tx.all("gates/labels", dict(seen))
            challenger = pgml.predictions(tx, scale, training["pgml_model_id"], "judged", feature_names)
            theirs = self._theirs(tx, scale, asked, feature_names) if asked else None
            tx.define(statement("training/censored_rows", table=table), {"as_of": self.run.as_of, "cut_at": after})
            open_still = [row["at_least"] for row in tx.all("training/censored_answers")]
            of = {training["model_uuid"]: (challenger, training["pgml_model_id"])}
            if theirs is not None:
                of[asked.model_uuid] = (theirs, asked.pgml_model_id)
            answered = {ranges.SIMPLE: ranges.labelled(tx, spec, table, self.run.as_of)}
            for model_uuid, (answers, pgml_model_id) in of.items():
                answered[model_uuid] = _with_open(tx, scale, rows, answers, open_still, pgml_model_id, feature_names)
            answered = ranges.recall(tx, self.client_id, spec, answered)
        # Where a model ought to serve that cannot be asked, nothing has been compared with what answers instead.
        first = seen["looked_until"] is None or (theirs is None and champion is not None and champion.rung != RECENT)
        judged = Judged(
            labels=[row["label"] for row in rows],
            simple=[row["simple"] for row in rows],
            challenger=challenger,
            champion=theirs,
            slices=[row["slice"] for row in rows],
            moments=[row["moment"] for row in rows],
            new=None if first else [row["new"] for row in rows],
            entities=[row["entity_id"] for row in rows],
        )
        return judged, answered

    def _theirs(
        self, tx: Transaction, scale: pgml.Scale, champion: Champion, feature_names: Sequence[str]
    ) -> list[float] | None:
        """The champion's answers; None when its model is broken, which must not keep a new one from being judged."""
        try:
            with tx.savepoint():
                return pgml.predictions(tx, scale, champion.pgml_model_id, "judged", feature_names)
        except psycopg.Error as error:
            if is_away(error):
                raise
            log.error("%s/%s: the champion does not answer: %s", self.run.client.slug, champion.model, message(error))
            return None

    def _can_be_asked(self, champion: Champion, training: Mapping[str, Any]) -> bool:
        """Whether the champion's model is there and takes the features of this table."""
        if champion.pgml_model_id is None or champion.replica_conn_id != self.run.client.replica_conn_id:
            return False
        if champion.feature_hash != training["feature_hash"]:
            return False
        with self.replica.as_client(self.client_id) as tx:
            return pgml.exists(tx, champion.pgml_model_id, champion.model_name)

    def _cut_of(self, champion: Champion) -> datetime.datetime | None:
        with self.primary.as_client(self.client_id) as tx:
            row = tx.one("training/cut", {"model_uuid": champion.model_uuid})
        return row["cut_at"] if row else None

    def _record(
        self,
        tx: Transaction,
        spec: ModelSpec,
        training: Mapping[str, Any],
        champion: Champion | None,
        verdict: Verdict,
    ) -> Any:
        verdict_id = uuid4()
        tx.run(
            "gates/record",
            {
                "verdict_id": verdict_id,
                "run_id": self.run.run_id,
                "model_uuid": training["model_uuid"],
                "client_id": self.client_id,
                "model": spec.model,
                "passed": verdict.passed,
                "decision": verdict.decision,
                "judged_version": champion.version if champion else 0,
                "criteria": Jsonb(verdict.stated()),
                "scores": Jsonb(verdict.scores),
                "rows_judged": verdict.rows_judged,
                # What changes nothing cannot promote luck either.
                "looked": verdict.looked and self.binding,
                "level": verdict.level,
                "sentence": verdict.sentence + ("" if self.binding else " (Only looked at: nothing was changed.)"),
            },
        )
        return verdict_id


def _with_open(
    tx: Transaction,
    scale: pgml.Scale,
    rows: Sequence[Mapping[str, Any]],
    answers: Sequence[float],
    open_still: Sequence[float],
    pgml_model_id: int,
    feature_names: Sequence[str],
) -> list[ranges.Row]:
    """A model's answers to the rows with a label, and to those (`censored`) that are not over."""
    found = [ranges.Row(row["label"], answer, row["known_at"]) for row, answer in zip(rows, answers, strict=True)]
    if open_still:
        said = pgml.predictions(tx, scale, pgml_model_id, "censored", feature_names)
        found += [
            ranges.Row(at_least, answer, None, over=False) for at_least, answer in zip(open_still, said, strict=True)
        ]
    return found


def move(
    tx: Transaction,
    client_id: int,
    model: str,
    champion: Champion | None,
    target: Mapping[str, Any],
    verdict_id: Any,
    actor: str,
    reason: str,
    *,
    restores: int | None = None,
    as_of: datetime.datetime | None = None,
) -> None:
    """Let `target` serve instead of `champion` (None: nothing served), in the caller's transaction, with a ledger row.
    `restores`, `as_of`: of a rollback, the version gone back to and the data's moment up to which that was decided.

    Raises ChampionMoved when something else serves by now.
    """
    version = champion.version if champion else 0
    values = dict(target) | {"client_id": client_id, "model": model, "judged_version": version}
    if tx.run("promotion/move" if champion else "promotion/establish", values).rowcount != 1:
        raise ChampionMoved(f"client {client_id}, model '{model}': version {version} was judged and serves no more")
    tx.run(
        "promotion/ledger",
        {
            "client_id": client_id,
            "model": model,
            "version": version + 1,
            "from_rung": champion.rung if champion else None,
            "from_model_uuid": champion.model_uuid if champion else None,
            "to_rung": target["rung"],
            "to_model_uuid": target["model_uuid"],
            "verdict_id": verdict_id,
            "actor": actor,
            "reason": reason,
            "restores": restores,
            "as_of": as_of,
        },
    )


@dataclass(frozen=True)
class Restored:
    """`version`: what the champion's version is now, or in a dry run would be; `restores`: the one gone back to."""

    model: str
    version: int
    restores: int
    rung: str
    model_uuid: UUID | None
    sentence: str


def rollback(
    databases: Databases,
    slug: str,
    model: str,
    *,
    actor: str,
    reason: str,
    to_version: int | None = None,
    dry_run: bool = False,
) -> Restored:
    """Let serve again what served before, or what version `to_version` was; a second call without it goes further back.

    It waits for no run: a gate that is judging meanwhile finds the champion moved. From then on the gate compares with
    the model that was gone back to on rows alone that have become known since. Raises NothingToRestore, naming the
    model, when that is gone from its replica or takes other features than today's.
    """
    spec = model_specs.read(model)
    with databases.primary() as primary:
        with primary.as_fleet() as fleet:
            client = clients.read(fleet, slug)
        values = {"client_id": client.client_id, "model": model}
        with primary.as_client(client.client_id) as tx:
            champion = champions.read(tx, client.client_id).get(model)
            history = tx.all("promotion/history", values)
            today = tx.one("promotion/newest_features", values)
            as_of = tx.one("promotion/decided_now", values)["as_of"]
        if champion is None:
            raise NothingToRestore(f"client '{slug}': nothing serves '{model}' yet")
        wanted = _wanted(slug, champion, history, to_version)
        target = _restorable(databases, client, spec, wanted, today["feature_hash"] if today else None)
        what = f"model {wanted['model_uuid']} ({wanted['rung']})" if wanted["model_uuid"] else spec.simple_name
        restored = Restored(
            model,
            champion.version + 1,
            wanted["served"],
            wanted["rung"],
            wanted["model_uuid"],
            f"{slug}/{model}: {what} of version {wanted['served']} {'would serve' if dry_run else 'serves'} again, as "
            f"version {champion.version + 1}, instead of that of version {champion.version}",
        )
        if dry_run:
            return restored
        with primary.as_client(client.client_id) as tx:
            move(
                tx,
                client.client_id,
                model,
                champion,
                target,
                None,
                actor,
                reason,
                restores=wanted["served"],
                as_of=as_of or datetime.datetime.now(datetime.UTC).replace(tzinfo=None),
            )
    log.info("%s, by %s: %s", restored.sentence, actor, reason)
    if target["pgml_model_id"] is not None:
        with databases.session(client.replica_conn_id) as replica:
            deploy(replica, client.client_id, target["pgml_model_id"])
    return restored


def _wanted(
    slug: str, champion: Champion, history: Sequence[Mapping[str, Any]], to_version: int | None
) -> Mapping[str, Any]:
    """The version to go back to: the newest before what serves that was another model."""
    where = f"client '{slug}', model '{champion.model}'"
    served = next((row["served"] for row in history if row["version"] == champion.version), champion.version)
    for row in history:
        if row["version"] >= champion.version or (to_version or row["version"]) != row["version"]:
            continue
        if (row["rung"], row["model_uuid"]) == (champion.rung, champion.model_uuid):
            if to_version:
                raise NothingToRestore(f"{where}: version {to_version} is what serves, as version {champion.version}")
            continue
        if to_version or row["version"] < served:
            return row
    if to_version:
        raise NothingToRestore(f"{where}: there is no version {to_version} before {champion.version}, which serves")
    raise NothingToRestore(f"{where}: nothing else has served before version {served}")


def _restorable(
    databases: Databases, client: clients.Client, spec: ModelSpec, wanted: Mapping[str, Any], today: str | None
) -> dict[str, Any]:
    """What `move` lets serve; raises NothingToRestore when it could not answer."""
    target = {
        "rung": wanted["rung"],
        "model_uuid": wanted["model_uuid"],
        "model_name": wanted["model_name"] or names.project(spec.project_name, client.client_id, spec.version),
        "replica_conn_id": client.replica_conn_id,
        "pgml_model_id": wanted["pgml_model_id"],
        "feature_hash": wanted["feature_hash"],
    }
    if wanted["model_uuid"] is None:
        return target
    name = f"client '{client.slug}': model {wanted['model_uuid']} of '{spec.model}', version {wanted['version']},"
    if wanted["replica_conn_id"] != client.replica_conn_id:
        raise NothingToRestore(
            f"{name} is on the replica '{wanted['replica_conn_id']}', and the client is on '{client.replica_conn_id}'"
        )
    if today is not None and wanted["feature_hash"] != today:
        raise NothingToRestore(f"{name} was trained on other features than today's")
    with databases.session(client.replica_conn_id) as replica, replica.as_client(client.client_id) as tx:
        if not pgml.exists(tx, wanted["pgml_model_id"], wanted["model_name"]):
            raise NothingToRestore(
                f"{name} is gone from its replica '{client.replica_conn_id}' (it was {wanted['pgml_model_id']} there)"
            )
    return target


def restorable(tx: Transaction, client: clients.Client, count: int = RESTORABLE) -> list[int]:
    """pgml's ids of the models on the client's replica that may be gone back to: of the last `count` champions."""
    values = {"client_id": client.client_id, "replica_conn_id": client.replica_conn_id, "count": count}
    return [row["pgml_model_id"] for row in tx.all("promotion/restorable", values)]


def deploy(replica: Session, client_id: int, model_id: int) -> None:
    """Mark it for people. The promotion stands whatever becomes of this: the next `prepare` marks it again."""
    try:
        pgml.deploy(replica, client_id, model_id)
    except psycopg.Error as error:
        log.warning("client %s: model %s serves, but pgml.deploy failed: %s", client_id, model_id, error)
