"""What serves, asked: features, then the champion's model or the simple rung. For the nightly and for requests."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from include.foresight import features, pgml, ranges
from include.foresight.champions import Champion
from include.foresight.database import Transaction, is_away, message
from include.foresight.model_specs import ModelSpec
from include.foresight.rungs import RECENT
from include.foresight.sql import statement

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answered:
    """`rung`: what answered. `remark`: why the baseline did in place of the champion's model. `excluded`: rows that
    cannot be scored."""

    rung: str
    feature_names: tuple[str, ...]
    feature_hash: str
    excluded: int
    remark: str | None = None


def answer(
    tx: Transaction,
    spec: ModelSpec,
    client_id: int,
    as_of: datetime.datetime,
    champion: Champion,
    entity_ids: Sequence[int] | None = None,
) -> Answered:
    """Leave the answers in the temporary table `outgoing` (entity_id, value, from_prior, ranges, features) of
    this transaction, and the rows with what excludes them in `scored`. On the replica, as the client."""
    names = features.score(tx, spec, client_id, as_of, entity_ids)
    feature_hash = features.feature_hash(names)
    remark = unanswerable(tx, champion, feature_hash)
    with_model = champion.pgml_model_id is not None and remark is None
    if with_model:
        try:
            with tx.savepoint():
                pgml.answer_scored(tx, features.scale(spec), champion.pgml_model_id, names)
        except psycopg.Error as error:
            if is_away(error):
                raise
            with_model = False
            remark = f"model {champion.model_uuid} does not answer ({message(error)}): the simple rung does"
    if not with_model:
        tx.run("answering/simple")
    if remark:
        log.warning("client %s, model '%s': %s", client_id, spec.model, remark)
    values = {"model": spec.model, "answered_by": champion.model_uuid if with_model else ranges.SIMPLE}
    tx.define(statement("answering/outgoing"), values)
    excluded = tx.one("answering/excluded")["excluded"]
    return Answered(champion.rung if with_model else RECENT, names, feature_hash, excluded, remark)


def unanswerable(tx: Transaction, champion: Champion, feature_hash: str) -> str | None:
    """Why the champion's model cannot be asked on this replica; None when it can, or when its rung has no model."""
    if champion.pgml_model_id is None:
        return None
    if champion.feature_hash != feature_hash:
        return f"model {champion.model_uuid} was trained on other features than today's: the simple rung answers"
    if not pgml.exists(tx, champion.pgml_model_id, champion.model_name):
        return f"model {champion.model_uuid} is missing on its replica: the simple rung answers until it is retrained"
    return None
