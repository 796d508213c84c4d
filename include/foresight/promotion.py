"""Judge a run's new models and move what serves: one transaction on the primary, by compare-and-set.

The model is committed on the replica first and never changes. `pgml.deploy` comes after the promotion, for people who
look at pgml.deployed_models, and decides nothing.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from include.foresight import champions, features, gates, names, pgml
from include.foresight.champions import Champion
from include.foresight.database import Databases, Session, Transaction, is_away, message
from include.foresight.errors import ForesightError
from include.foresight.gates import Judged, Verdict
from include.foresight.model_specs import ModelSpec
from include.foresight.rungs import RECENT
from include.foresight.runs import Run
from include.foresight.sql import statement

log = logging.getLogger(__name__)


class ChampionMoved(ForesightError):
    """What serves was changed by somebody else between the judgement and the promotion: judge again."""


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
            judged = {row["model_uuid"] for row in tx.all("gates/of_run", {"run_id": run.run_id})}
            serving = champions.read(tx, client.client_id)
            historic = tx.one("runs/is_historic", run.values)["historic"]
        past = historic or run.request.as_of is not None
        gate = _Gate(run, primary, replica, binding=not (run.request.dry_run or past))
        found = []
        for spec in specs:
            training = trainings.get(spec.model)
            if training is None or training["model_uuid"] in judged:
                continue
            found.append(gate.decide(spec, training, serving.get(spec.model)))
        return found


@dataclass
class _Gate:
    """`binding` false: judge, but leave what serves as it is (a dry run, or a run of the past)."""

    run: Run
    primary: Session
    replica: Session
    binding: bool

    @property
    def client_id(self) -> int:
        return self.run.client.client_id

    def decide(self, spec: ModelSpec, training: Mapping[str, Any], champion: Champion | None) -> Decision:
        if training["status"] == "trained":
            return self._judge(spec, training, champion)
        if champion is None and self.binding:
            return self._let_recent_serve(spec, training)
        return Decision(spec.model, None, champion.rung if champion else None, training["reason"] or training["status"])

    def _judge(self, spec: ModelSpec, training: Mapping[str, Any], champion: Champion | None) -> Decision:
        verdict = gates.judge(
            spec, self._answers(spec, training, champion), served_by=champion.rung if champion else None
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

    def _answers(self, spec: ModelSpec, training: Mapping[str, Any], champion: Champion | None) -> Judged:
        """What challenger, champion and simple rung say of the rows that neither model was trained on."""
        scale, feature_names = features.scale(spec), training["feature_names"]
        table = sql.Identifier(names.client_schema(self.client_id), training["training_table"])
        asked = champion if champion and self._can_be_asked(champion, training) else None
        after = training["cut_at"]
        if asked:
            after = max(after, self._cut_of(asked) or after)
        with self.replica.as_client(self.client_id) as tx:
            tx.define(statement("gates/judged_rows", table=table), {"after": after})
            rows = tx.all("gates/labels")
            challenger = pgml.predictions(tx, scale, training["pgml_model_id"], "judged", feature_names)
            theirs = self._theirs(tx, scale, asked, feature_names) if asked else None
        return Judged(
            labels=[row["label"] for row in rows],
            simple=[row["simple"] for row in rows],
            challenger=challenger,
            champion=theirs,
        )

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
                "sentence": verdict.sentence + ("" if self.binding else " (Only looked at: nothing was changed.)"),
            },
        )
        return verdict_id


def move(
    tx: Transaction,
    client_id: int,
    model: str,
    champion: Champion | None,
    target: Mapping[str, Any],
    verdict_id: Any,
    actor: str,
    reason: str,
) -> None:
    """Let `target` serve instead of `champion` (None: nothing served), in the caller's transaction, with a ledger row.

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
        },
    )


def deploy(replica: Session, client_id: int, model_id: int) -> None:
    """Mark it for people. The promotion stands whatever becomes of this: the next `prepare` marks it again."""
    try:
        pgml.deploy(replica, client_id, model_id)
    except psycopg.Error as error:
        log.warning("client %s: model %s serves, but pgml.deploy failed: %s", client_id, model_id, error)
