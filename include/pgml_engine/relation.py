"""A table or view as the numbers that a model sees. Everything is read as the caller: its rights and policies hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .errors import BadData, ColumnNotFound, PgmlError, RelationNotFound, TooLarge, WrongType

if TYPE_CHECKING:
    from .session import Session

NUMBERS = ("bool", "int2", "int4", "int8", "float4", "float8", "numeric")

# Rows times columns in one training. A cell is 8 bytes on its way into Python and 4 in the matrix, so the fetch of this
# many takes some 500 MB; a bytea ends at 1 GB.
MAX_CELLS = 30_000_000


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    position: int
    nullable: bool


@dataclass(frozen=True)
class Relation:
    schema: str
    name: str
    columns: tuple[Column, ...]

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    def column(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise ColumnNotFound(f'relation "{self}" has no column "{name}" to learn; it has: {self._names()}')

    def features(self, label: Column) -> tuple[Column, ...]:
        """Every other column, in order: each must be a number."""
        features = tuple(column for column in self.columns if column is not label)
        if not features:
            raise PgmlError(
                f'relation "{self}" has no column besides the label "{label.name}": a model needs a feature'
            )
        for column in (*features, label):
            if column.type not in NUMBERS:
                raise WrongType(
                    f'column "{column.name}" of relation "{self}" is of type {column.type}; '
                    f"pgml.train takes columns of the types {', '.join(NUMBERS)}",
                    hint="Train on a view that has the label and the features only, as numbers.",
                )
        return features

    def _names(self) -> str:
        return ", ".join(column.name for column in self.columns)


def parse_name(relation_name: str) -> tuple[str, str]:
    """Schema and name, as stored and unquoted. Without a schema it is `public`, whatever the search_path."""
    parts = relation_name.split(".")
    if len(parts) > 2 or not all(parts):
        raise PgmlError(f'relation_name must be "relation" or "schema.relation", unquoted; got "{relation_name}"')
    return ("public", parts[0]) if len(parts) == 1 else (parts[0], parts[1])


def resolve(session: Session, relation_name: str) -> Relation:
    schema, name = parse_name(relation_name)
    rows = session.run("relation_columns", ("text", "text"), (schema, name))
    columns = tuple(Column(row["name"], row["type"], row["position"], row["nullable"]) for row in rows)
    if not columns:
        raise RelationNotFound(f'relation "{schema}.{name}" does not exist')
    return Relation(schema, name, columns)


def fetch(
    session: Session, relation: Relation, features: tuple[Column, ...], label: Column
) -> tuple[np.ndarray, np.ndarray]:
    """Features (rows x features, float32) and labels (rows, float32) in the relation's own order; NULL is NaN.

    One bytea of all rows: five times as fast as rows of Python objects, and a quarter of their memory.
    """
    columns = (*features, label)
    max_rows = MAX_CELLS // len(columns)
    # The relation is read once, and one row past the bound tells that there are too many: a count before would evaluate
    # an expensive view twice. Its own order survives the limit.
    query = (
        f"select pg_catalog.string_agg({_joined([_sent(session, column) for column in columns])}, '') as cells "
        f"from (select * from {_quoted(session, relation.schema)}.{_quoted(session, relation.name)} "
        f"limit {max_rows + 1}) as r"
    )
    cells = session.plpy.execute(query)[0]["cells"]
    if cells is None:
        raise BadData(f'relation "{relation}" has no rows that the caller may see')
    table = np.frombuffer(cells, dtype=">f8").reshape(-1, len(columns))
    if len(table) > max_rows:
        raise TooLarge(
            f'relation "{relation}" has more than {max_rows} rows of {len(columns)} columns; '
            f"pgml.train takes at most {MAX_CELLS} values"
        )
    with np.errstate(over="ignore"):
        numbers = table.astype(np.float32)
    for place in np.flatnonzero(np.isinf(numbers).any(axis=0)):
        count = int(np.isinf(numbers[:, place]).sum())
        raise BadData(
            f'column "{columns[place].name}" of relation "{relation}" holds {count} infinite values; '
            "a value must fit into a real, at most 3.4e38"
        )
    return np.ascontiguousarray(numbers[:, :-1]), np.ascontiguousarray(numbers[:, -1])


def _quoted(session: Session, name: str) -> str:
    return session.plpy.quote_ident(name)


def _sent(session: Session, column: Column) -> str:
    name = f"r.{_quoted(session, column.name)}"
    number = f"{name}::pg_catalog.int4::pg_catalog.float8" if column.type == "bool" else f"{name}::pg_catalog.float8"
    # A single NULL would make the whole row vanish.
    return f"pg_catalog.float8send(coalesce({number}, 'NaN'))"


def _joined(parts: list[str]) -> str:
    """Concatenated as a balanced tree: a chain copies each row's bytes once per column."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return f"({_joined(parts[:half])} || {_joined(parts[half:])})"
