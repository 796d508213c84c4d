"""A table or view as the numbers and texts that a model sees. Everything is read as the caller: its rights hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BadData, ColumnNotFound, PgmlError, RelationNotFound, TooLarge, WrongType

if TYPE_CHECKING:
    from .session import Session

NUMBERS = ("bool", "int2", "int4", "int8", "float4", "float8", "numeric")
TEXTS = ("text", "varchar", "bpchar")
TIMES = ("date", "timestamp", "timestamptz")
REAL, DOUBLE = "float4", "float8"
# numeric_value_out_of_range: too large or too small for a real.
OUT_OF_RANGE = "22003"

# Rows times columns in one training. A cell is 8 bytes on its way into Python and 4 in the matrix, so the fetch of this
# many takes some 500 MB; a bytea ends at 1 GB.
MAX_CELLS = 30_000_000
# What one text may count for: a Python string takes as much as this many numbers.
CELLS_OF_A_TEXT = 8


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    position: int
    nullable: bool

    @property
    def kind(self) -> str | None:
        """number, text, array (of numbers), time; None for what pgml cannot read."""
        if self.type in NUMBERS:
            return "number"
        if self.type in TEXTS:
            return "text"
        if self.type in TIMES:
            return "time"
        return "array" if self.type.removeprefix("_") in NUMBERS else None


@dataclass(frozen=True)
class Relation:
    schema: str
    name: str
    columns: tuple[Column, ...]

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    def column(self, name: str, purpose: str = "to learn") -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise ColumnNotFound(f'relation "{self}" has no column "{name}" {purpose}; it has: {self._names()}')

    def features(self, apart: Sequence[Column], *, leave_out: bool = False) -> tuple[Column, ...]:
        """Every column but those `apart` (labels first), in order. One that cannot be a feature is an error, or is left
        out when that is allowed."""
        features = tuple(column for column in self.columns if column not in apart)
        able = tuple(column for column in features if column.kind in ("number", "text", "array"))
        if leave_out:
            features = able
        if not features:
            raise PgmlError(
                f'relation "{self}" has no column besides the label "{apart[0].name}": a model needs a feature'
            )
        for column in features:
            if column not in able:
                raise WrongType(
                    f'column "{column.name}" of relation "{self}" is of type {column.type}; '
                    f"pgml.train takes columns of the types {', '.join((*NUMBERS, *TEXTS))} and arrays of numbers",
                    hint="Train on a view that has the label and the features only.",
                )
        return features

    def _names(self) -> str:
        return ", ".join(column.name for column in self.columns)


@dataclass(frozen=True)
class Rows:
    """What was fetched, in the relation's own order. `numbers` is rows x number columns, float32, NaN for NULL;
    `others` has by name a list of texts (None for NULL) or an array of rows x length; `moments` is float64."""

    count: int
    numbers: np.ndarray
    places: dict[str, int]
    others: dict[str, Any]
    moments: np.ndarray | None = None

    def column(self, name: str) -> Any:
        return self.numbers[:, self.places[name]] if name in self.places else self.others[name]


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


def chosen(session: Session, relation: Relation, condition: str | None) -> str:
    """The rows as SQL to select from, under the alias r. The condition is the caller's own text: it is parsed."""
    table = f"{_quoted(session, relation.schema)}.{_quoted(session, relation.name)} as r"
    if condition is None:
        return table
    from . import filter

    return f"{table} where {filter.where(session, relation, condition)}"


def fetch(
    session: Session,
    relation: Relation,
    columns: Sequence[Column],
    *,
    condition: str | None = None,
    moment: Column | None = None,
) -> Rows:
    """The columns' values; of `moment`, a column of time or number, the seconds or numbers to order by.

    Numbers are one array of all rows, handed on as its bytes: ten times as fast as rows of Python objects, an eighth of
    their memory. PostgreSQL makes them reals itself, unless one has no place in a real: then they come as doubles, so
    that what is to be said of it can be said.
    """
    source = chosen(session, relation, condition)
    numbers = [column for column in columns if column.kind == "number"]
    texts = [column for column in columns if column.kind == "text"]
    arrays = {column: _length(session, relation, source, column) for column in columns if column.kind == "array"}
    cells = len(numbers) + CELLS_OF_A_TEXT * len(texts) + sum(arrays.values()) + (moment is not None)
    max_rows = MAX_CELLS // cells
    wanted = ["pg_catalog.count(*) as count"]
    sent = [_sent(session, column) for column in (*numbers, *([moment] if moment else ()))]
    for place, column in enumerate(texts):
        wanted.append(f"pg_catalog.array_agg(r.{_quoted(session, column.name)}::pg_catalog.text) as text_{place}")
    for place, (column, length) in enumerate(arrays.items()):
        name = f"r.{_quoted(session, column.name)}"
        as_doubles = _doubles(name, column)
        wanted.append(
            f"pg_catalog.count(*) filter (where pg_catalog.cardinality({name}) is distinct from {length}) "
            f"as odd_{place}"
        )
        # Its last bytes: the header's length depends on the number of dimensions.
        wanted.append(
            f"pg_catalog.string_agg(pg_catalog.substring(pg_catalog.array_send(pg_catalog.array_replace({as_doubles}, "
            f"null, 'NaN')), 13 + 8 * pg_catalog.array_ndims({name})), '') as array_{place}"
        )
    # The relation is read once, and one row past the bound tells that there are too many: a count before would evaluate
    # an expensive view twice. Its own order survives the limit.
    rows = f"from (select r.* from {source} limit {max_rows + 1}) as r"
    found, kind = _read(session, wanted, sent, rows, np.float64 if moment else np.float32)
    count = found["count"]
    if count == 0:
        matching = "" if condition is None else " that match the filter and"
        raise BadData(f'relation "{relation}" has no rows{matching} that the caller may see')
    if count > max_rows:
        raise TooLarge(
            f'relation "{relation}" has more than {max_rows} rows of {cells} columns; '
            f"pgml.train takes at most {MAX_CELLS} values"
        )
    moments = None
    matrix = np.empty((count, 0), dtype=np.float32)
    if sent:
        table = array_values(found["cells"], kind).reshape(count, len(sent))
        if moment is not None:
            moments = table[:, -1].astype(np.float64)
            if np.isnan(moments).any():
                raise BadData(f'column "{moment.name}" of relation "{relation}" orders the rows and must not be NULL')
        matrix = _single(table[:, : len(numbers)], numbers, relation)
    others: dict[str, Any] = {column.name: found[f"text_{place}"] for place, column in enumerate(texts)}
    for place, (column, length) in enumerate(arrays.items()):
        if found[f"odd_{place}"]:
            raise BadData(
                f'column "{column.name}" of relation "{relation}" must be an array of {length} numbers in each row, as '
                f"in the first; {found[f'odd_{place}']} of {count} rows have another length or NULL"
            )
        element = np.dtype([("length", ">i4"), ("value", ">f8")])
        table = np.frombuffer(found[f"array_{place}"], dtype=element)["value"].reshape(count, length)
        others[column.name] = _single(table, [column] * length, relation)
    return Rows(count, matrix, {column.name: place for place, column in enumerate(numbers)}, others, moments)


def _read(session: Session, wanted: list[str], sent: list[str], rows: str, kind: type) -> tuple[Any, type]:
    """The row of the aggregates `wanted` and, as "cells", of the numbers `sent`; and of which kind those are."""

    def query(kind: type) -> str:
        numbers = [f"{one}::pg_catalog.{REAL if kind is np.float32 else DOUBLE}" for one in sent]
        cells = [f"pgml._bytes(pg_catalog.array_agg(array[{', '.join(numbers)}])) as cells"] if sent else []
        return f"select {', '.join(wanted + cells)} {rows}"

    try:
        return session.plpy.execute(query(kind))[0], kind
    except session.plpy.SPIError as error:
        if kind is np.float64 or getattr(error, "sqlstate", None) != OUT_OF_RANGE:
            raise
    return session.plpy.execute(query(np.float64))[0], np.float64


def _length(session: Session, relation: Relation, source: str, column: Column) -> int:
    name = f"r.{_quoted(session, column.name)}"
    rows = session.plpy.execute(f"select pg_catalog.cardinality({name}) as length from {source} limit 1")
    length = rows[0]["length"] if rows else 1
    if not length:
        raise BadData(f'column "{column.name}" of relation "{relation}" must be an array of numbers, got an empty one')
    return length


def _single(table: np.ndarray, columns: Sequence[Column], relation: Relation) -> np.ndarray:
    with np.errstate(over="ignore"):
        numbers = table.astype(np.float32, order="C", copy=False)
    for place in np.flatnonzero(np.isinf(numbers).any(axis=0)):
        count = int(np.isinf(numbers[:, place]).sum())
        raise BadData(
            f'column "{columns[place].name}" of relation "{relation}" holds {count} infinite values; '
            "a value must fit into a real, at most 3.4e38"
        )
    return numbers


def _quoted(session: Session, name: str) -> str:
    return session.plpy.quote_ident(name)


def _doubles(name: str, column: Column) -> str:
    by_way_of = "::pg_catalog.int4[]" if column.type == "_bool" else ""
    return f"{name}{by_way_of}::pg_catalog.float8[]"


def _sent(session: Session, column: Column) -> str:
    name = f"r.{_quoted(session, column.name)}"
    match column.type:
        case "bool":
            number = f"{name}::pg_catalog.int4::pg_catalog.float8"
        case "date" | "timestamp" | "timestamptz":
            number = f"extract(epoch from {name})::pg_catalog.float8"
        case _:
            number = f"{name}::pg_catalog.float8"
    return number


def array_values(sent: bytes, dtype: type) -> np.ndarray:
    """The numbers of an array from its bytes in memory (pgml._bytes), flat, NaN for NULL. They may be read-only."""
    dimensions, offset, _ = np.frombuffer(sent, dtype=np.int32, count=3)
    if dimensions == 0:
        return np.empty(0, dtype=dtype)
    head = 12 + 8 * int(dimensions)
    if not offset:
        return np.frombuffer(sent, dtype=dtype, offset=head)
    # A bit per element tells whether it is there; the head of four bytes before these is counted in the offset.
    count = int(np.prod(np.frombuffer(sent, dtype=np.int32, count=dimensions, offset=12), dtype=np.int64))
    bits = np.frombuffer(sent, dtype=np.uint8, offset=head, count=(count + 7) // 8)
    values = np.full(count, np.nan, dtype=dtype)
    values[np.unpackbits(bits, count=count, bitorder="little").astype(bool)] = np.frombuffer(
        sent, dtype=dtype, offset=int(offset) - 4
    )
    return values


def has_null(sent: bytes) -> bool:
    return bool(np.frombuffer(sent, dtype=np.int32, count=2)[1])
