"""Copies of a relation's rows: pgml.snapshot_<id>, which only the snapshot's owner can read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import analysis, features, relation, split, store
from .errors import PgmlError
from .preprocess import Step
from .relation import Column, Relation
from .session import entry_point

if TYPE_CHECKING:
    from .session import Session


@entry_point
def snapshot(
    session: Session, relation_name: str, y_column_name: str, test_size: float, test_sampling: str, preprocessing: str
) -> list[dict[str, Any]]:
    """Copy a relation for later use, apart from any project. Returns the result row."""
    wanted = store.Snapshot(
        relation_name, (y_column_name,), test_size, test_sampling, json_object("preprocess", preprocessing)
    )
    split.refuse_unknown(test_sampling)
    source = relation.resolve(session, relation_name)
    label = source.column(y_column_name)
    columns = source.features([label])
    steps = features.parse(wanted.preprocess, {}, columns, [label.name])
    snapshot_id, table = copy(session, wanted, source, [*columns, label])
    rows = relation.fetch(session, table, [*columns, label] if label.kind else columns)
    split.rows_to_test(rows.count, test_size)
    described = describe(columns, steps, [label], rows)
    store.describe_snapshot(session, snapshot_id, described, rows.count)
    return [{"relation": relation_name, "y_column_name": y_column_name}]


def copy(session: Session, wanted: store.Snapshot, source: Relation, columns: Sequence[Column]) -> tuple[int, Relation]:
    """A snapshot with a table of the columns' rows, as the caller sees them now; its id and the table."""
    snapshot_id = store.save_snapshot(session, wanted, [], 0, materialized=True)
    names, types = [column.name for column in columns], [column.type for column in columns]
    session.run("materialize", ("int8", "text[]", "text[]"), (snapshot_id, names, types))
    listed = ", ".join(session.plpy.quote_ident(name) for name in names)
    taken = ", ".join(f"r.{session.plpy.quote_ident(name)}" for name in names)
    chosen = relation.chosen(session, source, wanted.options.filter)
    limit = relation.MAX_CELLS // len(columns) + 1
    # Its own order, and no more than could be learned from.
    session.plpy.execute(
        f"insert into pgml.snapshot_{snapshot_id} ({listed}) "
        f"select {taken} from (select r.* from {chosen} limit {limit}) as r"
    )
    return snapshot_id, Relation("pgml", f"snapshot_{snapshot_id}", tuple(columns))


def describe(
    columns: Sequence[Column], steps: dict[str, Step], label_columns: Sequence[Column], rows: relation.Rows
) -> list[dict[str, Any]]:
    described = [
        analysis.describe(column, steps.get(column.name, Step()), rows.column(column.name)) for column in columns
    ]
    return described + [analysis.describe(column, None, rows.column(column.name)) for column in label_columns]


def json_object(name: str, text: str | None) -> dict[str, Any]:
    value = {} if text is None else json.loads(text)
    if not isinstance(value, dict):
        raise PgmlError(f"{name} must be a JSON object, got {text}")
    return value
