"""Rows and features of a model: one SQL for training, scoring and requests, and the table that a run trains on."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from include.foresight import names, pgml, replication
from include.foresight.database import Transaction
from include.foresight.errors import ForeignRows
from include.foresight.model_specs import ModelSpec
from include.foresight.pgml import Scale
from include.foresight.sql import statement

# The columns that every feature SQL gives before its features (sql/features/README.md).
CONTRACT = (
    "client_id",
    "entity_id",
    "moment",
    "known_at",
    "label",
    "simple",
    "known_labels",
    "slice",
    "excluded",
)
# What a table of ours has beside them and the features: what the entity is called, and a training table's parts.
KEY, PART = "entity_key", "part"

# Where an entity's row is: `id`, and `key`, by which people know it.
SOURCES = {
    "issue": sql.Identifier("ml", "source_issues"),
    "pull_request": sql.Identifier("ml", "source_pull_requests"),
}


@dataclass(frozen=True)
class TrainingTable:
    """What a run's model is trained and judged on. `varied_train`, `varied_test`: rows of the part whose label is not
    its most frequent one. `rows_removed`: rows by the first filter that took them out. `fingerprint` is the same for
    the same rows, whenever they are read."""

    schema: str
    name: str
    feature_names: tuple[str, ...]
    rows_train: int
    rows_test: int
    rows_censored: int
    varied_train: int
    varied_test: int
    rows_removed: dict[str, int]
    cut_at: datetime.datetime | None
    fingerprint: str

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    @property
    def relation(self) -> str:
        """The ordered view as pgml takes it: unquoted."""
        return f"{self.schema}.{names.ordered_view(self.name)}"

    @property
    def feature_hash(self) -> str:
        return feature_hash(self.feature_names)


def feature_hash(feature_names: Sequence[str]) -> str:
    """Names and order; a model answers only to the ones that it was trained with."""
    return hashlib.sha256("\0".join(feature_names).encode()).hexdigest()[:16]


def scale(spec: ModelSpec) -> Scale:
    return Scale(spec.task, spec.target)


def select(spec: ModelSpec) -> sql.SQL:
    """The feature SQL, to stand in brackets in another statement."""
    return sql.SQL(spec.feature_sql)


def parameters(
    spec: ModelSpec,
    client_id: int,
    as_of: datetime.datetime,
    *,
    scoring: bool,
    entity_ids: Sequence[int] | None = None,
) -> dict[str, Any]:
    return {
        **spec.settings,
        "prior": spec.prior,
        "client_id": client_id,
        "as_of": as_of,
        "scoring": scoring,
        "entity_ids": list(entity_ids) if entity_ids is not None else None,
    }


def build(tx: Transaction, spec: ModelSpec, client_id: int, as_of: datetime.datetime, run_id: UUID) -> TrainingTable:
    """Make the run's training table in the client's schema, as the client, and the ordered view over it.

    Raises ForeignRows when a row is of another client: then the transaction must not be committed.
    """
    schema, name = names.client_schema(client_id), names.training_table(spec.model, run_id)
    table = sql.Identifier(schema, name)
    view = sql.Identifier(schema, names.ordered_view(name))
    tx.run("features/drop_table", table=table, view=view)
    _lock_copies(tx)
    tx.define(
        statement("features/build_table", table=table, features=select(spec), source=SOURCES[spec.entity]),
        parameters(spec, client_id, as_of, scoring=False) | {"test_size": spec.test_size},
    )
    described = tx.one("features/describe", {"client_id": client_id}, table=table)
    if described["foreign_rows"]:
        raise ForeignRows(
            f"client {client_id}, model '{spec.model}': {described['foreign_rows']} rows of the training table are of "
            "another client; rows may be of one client only, so nothing was trained"
        )
    feature_names = columns(tx, table)
    made = TrainingTable(
        schema=schema,
        name=name,
        feature_names=feature_names,
        rows_train=described["rows_train"],
        rows_test=described["rows_test"],
        rows_censored=described["rows_censored"],
        varied_train=described["varied_train"],
        varied_test=described["varied_test"],
        rows_removed=described["rows_removed"],
        cut_at=described["cut_at"],
        fingerprint=str(described["fingerprint"]),
    )
    order(tx, made, scale(spec).label, pgml.LABEL)
    return made


def order(tx: Transaction, table: TrainingTable, label: sql.Composable, name: str) -> None:
    """Make the ordered view, or make it anew with the label as it is to be learned."""
    view = sql.Identifier(table.schema, names.ordered_view(table.name))
    tx.run("features/drop_view", view=view)
    tx.run(
        "features/order",
        table=table.identifier,
        view=view,
        label=label,
        name=name,
        features=listed(table.feature_names),
    )


def score(
    tx: Transaction,
    spec: ModelSpec,
    client_id: int,
    as_of: datetime.datetime,
    entity_ids: Sequence[int] | None = None,
) -> tuple[str, ...]:
    """Put the rows to predict into the temporary table `scored` and return the names of their features."""
    _lock_copies(tx)
    tx.define(
        statement("features/score", features=select(spec), source=SOURCES[spec.entity]),
        parameters(spec, client_id, as_of, scoring=True, entity_ids=entity_ids),
    )
    return columns(tx, sql.Identifier("scored"))


def _lock_copies(tx: Transaction) -> None:
    tx.run("features/lock_copies", copies=sql.SQL(", ").join(map(replication.table, replication.PUBLISHED)))


def named(tx: Transaction, spec: ModelSpec, client_id: int, as_of: datetime.datetime) -> tuple[str, ...]:
    """The features that the feature SQL gives today, in order, without computing a row."""
    return _features(
        tx.define(statement("features/named", features=select(spec)), parameters(spec, client_id, as_of, scoring=True))
    )


def columns(tx: Transaction, table: sql.Identifier) -> tuple[str, ...]:
    """The features of a table that was made by a feature SQL, in order."""
    # Never prepared: another model's rows have other columns, and what is prepared must not change what it gives.
    return _features(tx.connection.execute(statement("features/columns", table=table), prepare=False))


def _features(rows: psycopg.Cursor) -> tuple[str, ...]:
    found = [column.name for column in rows.description or []]
    return tuple(name for name in found if name not in (*CONTRACT, KEY, PART))


def listed(feature_names: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, feature_names))
