"""The row filter of pgml.train: a condition as text. It is parsed, each part is looked at, and it is written anew from
what was understood: no text of the caller's reaches the database as it came.

The parser is sqlglot (MIT). PostgreSQL's own as a library would be exact, but pglast is GPL, and each of them brings a
second copy of the server's functions into the backend. Where sqlglot and PostgreSQL could differ about what belongs
together, brackets are asked for.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import relation as relations
from .errors import ColumnNotFound, NotSupported, PgmlError, TooLarge
from .relation import Relation

if TYPE_CHECKING:
    from .session import Session

MAX_LENGTH = 10_000
ALIAS = "r"

COMPARISONS = {
    "EQ": "=",
    "NEQ": "<>",
    "LT": "<",
    "LTE": "<=",
    "GT": ">",
    "GTE": ">=",
    "NullSafeEQ": "is not distinct from",
    "NullSafeNEQ": "is distinct from",
}
ARITHMETIC = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "Mod": "%"}
PATTERNS = {"Like": "like", "ILike": "ilike"}
# Their parts need brackets when they are parts of anything but and, or, not.
CONDITIONS = frozenset((*COMPARISONS, *PATTERNS, "Is", "In", "Between", "Escape", "And", "Or", "Not"))

# The parser's name of a function with one argument, and PostgreSQL's.
FUNCTIONS = {"Length": "length", "Lower": "lower", "Upper": "upper", "Abs": "abs"}
CONSTANTS = {"CurrentTimestamp": "pg_catalog.now()", "CurrentDate": "current_date"}
KNOWN_FUNCTIONS = "now, current_date, length, lower, upper, abs, coalesce, date_trunc, extract"

TYPES = {
    "BOOLEAN": "bool",
    "SMALLINT": "int2",
    "INT": "int4",
    "BIGINT": "int8",
    "FLOAT": "float4",
    "DOUBLE": "float8",
    "DECIMAL": "numeric",
    "TEXT": "text",
    "VARCHAR": "varchar",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMPTZ": "timestamptz",
    "INTERVAL": "interval",
}
KNOWN_TYPES = (
    "boolean, smallint, integer, bigint, real, double precision, numeric, text, varchar, date, timestamp, timestamptz, "
    "interval"
)
TRUNCATIONS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
FIELDS = (*TRUNCATIONS, "epoch", "dow", "isodow", "doy")

NUMBER = re.compile(r"(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
UNIT = re.compile(r"[A-Za-z]+")


class SyntaxRefused(PgmlError):
    """The text is no condition at all."""

    sqlstate = "42601"


class Ambiguous(PgmlError):
    """Two tables of a sub-select have that column."""

    sqlstate = "42702"


@dataclass(frozen=True)
class Scope:
    """The tables whose columns a part of the filter may name: by the name it calls them, our alias and the table."""

    tables: dict[str, tuple[str, Relation]] = field(default_factory=dict)
    outer: Scope | None = None


def where(session: Session, relation: Relation, text: str) -> str:
    """The condition as SQL that refers to the relation as r. What is not allowed is an error that names it."""
    if len(text) > MAX_LENGTH:
        raise TooLarge(f"filter must have at most {MAX_LENGTH} characters, got {len(text)}")
    try:
        node = _parse(text)
        return _Writer(session).condition(node, Scope({relation.name: (ALIAS, relation)}))
    except RecursionError:
        raise TooLarge("filter is nested too deeply") from None


def _parse(text: str) -> Any:
    # Late: half a second that only a training with a filter pays.
    from sqlglot import errors
    from sqlglot.dialects.postgres import Postgres

    # Its remarks would bring the caller's text into the server's log.
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    try:
        found = [node for node in Postgres().parse(text) if node is not None]
    except errors.ParseError as error:
        about = error.errors[0] if error.errors else {}
        place = f' at line {about["line"]}, near "{about["highlight"]}"' if about.get("line") else ""
        raise SyntaxRefused(f"filter cannot be read{place}: it must be one condition, as after WHERE") from None
    except errors.SqlglotError:
        raise SyntaxRefused("filter cannot be read: it must be one condition, as after WHERE") from None
    if not found:
        raise SyntaxRefused("filter is empty: leave it out to train on all rows")
    if len(found) > 1:
        raise NotSupported(f"filter must be one condition, got {len(found)} statements")
    return found[0]


class _Writer:
    """From the parser's tree to SQL. Each kind of node is written by its own rule; one without a rule is refused."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.aliases = 0

    def condition(self, node: Any, scope: Scope) -> str:
        """Any part. What consists of several is in brackets."""
        kind = type(node).__name__
        if kind == "Paren":
            _only(node, "this")
            return self.condition(node.this, scope)
        if kind in ("And", "Or"):
            return self._chain(node, kind, scope)
        if kind == "Not":
            _only(node, "this")
            return f"(not {self.condition(node.this, scope)})"
        if kind in COMPARISONS or kind in ARITHMETIC:
            _only(node, "this", "expression", "typed", "safe")
            sign = COMPARISONS.get(kind) or ARITHMETIC[kind]
            return f"({self.part(node.this, scope)} {sign} {self.part(node.expression, scope)})"
        if kind in FUNCTIONS:
            _only(node, "this")
            return f"pg_catalog.{FUNCTIONS[kind]}({self.part(node.this, scope)})"
        if kind in CONSTANTS:
            _only(node)
            return CONSTANTS[kind]
        if kind not in RULES:
            raise _refused(node)
        return RULES[kind](self, node, scope)

    def part(self, node: Any, scope: Scope) -> str:
        """An operand: where PostgreSQL and the parser could differ about what belongs together, it needs brackets."""
        if type(node).__name__ in CONDITIONS:
            raise SyntaxRefused(f"filter: put brackets around {_shown(node)}, which is part of a comparison or sum")
        return self.condition(node, scope)

    def _chain(self, node: Any, kind: str, scope: Scope) -> str:
        """Written in one go: a long chain is a deep tree."""
        parts = []
        while type(node).__name__ == kind:
            _only(node, "this", "expression")
            parts.append(node.expression)
            node = node.this
        parts.append(node)
        return f"({f' {kind.lower()} '.join(self.condition(one, scope) for one in reversed(parts))})"

    def _column(self, node: Any, scope: Scope) -> str:
        _only(node, "this", "table", "db")
        if type(node.this).__name__ != "Identifier":
            raise _refused(node)
        table = node.args.get("table")
        schema = _folded(node.args["db"]) if node.args.get("db") else None
        return self._resolved(_folded(node.this), table and _folded(table), schema, scope)

    def _resolved(self, name: str, table: str | None, schema: str | None, scope: Scope | None) -> str:
        """As SQL does it: the innermost table that has the column."""
        first, at = scope, scope
        while at is not None:
            known = {called: held for called, held in at.tables.items() if table in (None, called)}
            if schema is not None:
                known = {called: held for called, held in known.items() if held[1].schema == schema}
            found = [held for held in known.values() if any(column.name == name for column in held[1].columns)]
            if len(found) > 1:
                raise Ambiguous(f'filter: column "{name}" is in {" and ".join(str(each[1]) for each in found)}')
            if found:
                return f"{found[0][0]}.{self._quoted(name)}"
            if table is not None and known:
                break
            at = at.outer
        searched = []
        while first is not None:
            searched += [str(held[1]) for held in first.tables.values()]
            first = first.outer
        prefix = f'"{table}".' if table else ""
        raise ColumnNotFound(f'filter: no column {prefix}"{name}" in {", ".join(searched)}')

    def _literal(self, node: Any, scope: Scope) -> str:
        text = str(node.this)
        if node.args.get("is_string"):
            return self.session.plpy.quote_literal(text)
        if not NUMBER.fullmatch(text):
            raise _refused(node)
        return text

    def _boolean(self, node: Any, scope: Scope) -> str:
        return "true" if node.this else "false"

    def _null(self, node: Any, scope: Scope) -> str:
        return "null"

    def _neg(self, node: Any, scope: Scope) -> str:
        _only(node, "this")
        return f"(- {self.part(node.this, scope)})"

    def _is(self, node: Any, scope: Scope) -> str:
        _only(node, "this", "expression", "negate")
        word = type(node.expression).__name__
        if word not in ("Null", "Boolean"):
            raise _refused(node)
        told = f"is {'not ' if node.args.get('negate') else ''}{self.condition(node.expression, scope)}"
        return f"({self.part(node.this, scope)} {told})"

    def _between(self, node: Any, scope: Scope) -> str:
        _only(node, "this", "low", "high")
        low, high = self.part(node.args["low"], scope), self.part(node.args["high"], scope)
        return f"({self.part(node.this, scope)} between {low} and {high})"

    def _in(self, node: Any, scope: Scope) -> str:
        _only(node, "this", "expressions", "query")
        query = node.args.get("query")
        if query is None and not node.expressions:
            raise SyntaxRefused("filter: IN needs a list of values or a sub-select")
        if query is not None:
            inside = self._select(query, scope)
        else:
            inside = ", ".join(self.part(one, scope) for one in node.expressions)
        return f"({self.part(node.this, scope)} in ({inside}))"

    def _like(self, node: Any, scope: Scope, escape: str = "") -> str:
        _only(node, "this", "expression", "negate")
        word = f"{'not ' if node.args.get('negate') else ''}{PATTERNS[type(node).__name__]}"
        return f"({self.part(node.this, scope)} {word} {self.part(node.expression, scope)}{escape})"

    def _escape(self, node: Any, scope: Scope) -> str:
        _only(node, "this", "expression")
        if type(node.this).__name__ not in PATTERNS or type(node.expression).__name__ != "Literal":
            raise _refused(node)
        return self._like(node.this, scope, f" escape {self._literal(node.expression, scope)}")

    def _cast(self, node: Any, scope: Scope) -> str:
        _only(node, "this", "to")
        wanted = node.args["to"]
        _only(wanted, "this", "expressions", "nested", "kind")
        name = TYPES.get(getattr(wanted.this, "name", ""))
        if name is None or wanted.args.get("nested"):
            raise NotSupported(f"filter: a cast to {_shown(wanted)} is not allowed; allowed are {KNOWN_TYPES}")
        sizes = [str(one.this.this) for one in wanted.expressions if type(one).__name__ == "DataTypeParam"]
        if sizes and (name not in ("numeric", "varchar") or not all(size.isdecimal() for size in sizes)):
            raise NotSupported(f"filter: a cast to {_shown(wanted)} is not allowed; leave the size out")
        size = f"({', '.join(sizes)})" if sizes else ""
        return f"({self.part(node.this, scope)}::pg_catalog.{name}{size})"

    def _interval(self, node: Any, scope: Scope) -> str:
        _only(node, "this", "unit")
        number, unit = node.this, node.args.get("unit")
        if type(number).__name__ != "Literal" or not number.args.get("is_string"):
            raise _refused(node)
        text = str(number.this)
        if unit is not None:
            # The parser does not tell '1.5 hours' from '1.5' hour, which PostgreSQL cuts to a whole one.
            if type(unit).__name__ != "Var" or not UNIT.fullmatch(unit.name) or not re.fullmatch(r"-?\d+", text):
                raise NotSupported(f"filter: {_shown(node)} is not allowed; write interval '18 months' or '36 hours'")
            text = f"{text} {unit.name}"
        return f"({self.session.plpy.quote_literal(text)}::pg_catalog.interval)"

    def _coalesce(self, node: Any, scope: Scope) -> str:
        _only(node, "this", "expressions")
        return f"coalesce({', '.join(self.part(one, scope) for one in (node.this, *node.expressions))})"

    def _timestamptrunc(self, node: Any, scope: Scope) -> str:
        _only(node, "this", "unit", "input_type_preserved")
        unit = _word(node.args.get("unit"), node, TRUNCATIONS)
        return f"pg_catalog.date_trunc('{unit}', {self.part(node.this, scope)})"

    def _extract(self, node: Any, scope: Scope) -> str:
        _only(node, "this", "expression")
        return f"extract({_word(node.this, node, FIELDS)} from {self.part(node.expression, scope)})"

    def _select(self, node: Any, scope: Scope) -> str:
        """One column of tables, under the caller's rights. Each table has an alias of ours."""
        if type(node).__name__ == "Subquery":
            _only(node, "this")
            node = node.this
        if type(node).__name__ != "Select":
            raise _refused(node, " as a sub-select: it must be select column from table [join ...] where ...")
        _only(node, "expressions", "from_", "from", "joins", "where")
        source = node.args.get("from_") or node.args.get("from")
        if len(node.expressions) != 1 or type(node.expressions[0]).__name__ != "Column" or source is None:
            raise NotSupported(
                f"filter: {_shown(node)} is not allowed: a sub-select must select one column from a table"
            )
        _only(source, "this")
        inner = Scope({}, scope)
        joins = node.args.get("joins") or []
        listed = [self._table(one, inner) for one in (source.this, *(join.this for join in joins))]
        written = listed[0]
        for join, table in zip(joins, listed[1:], strict=True):
            _only(join, "this", "on", "kind", "side")
            kind = (str(join.args.get("kind") or ""), str(join.args.get("side") or ""))
            if join.args.get("on") is None or kind not in (("", ""), ("INNER", ""), ("", "LEFT"), ("OUTER", "LEFT")):
                raise NotSupported(f"filter: {_shown(join)} is not allowed: write join ... on or left join ... on")
            word = "left join" if kind[1] else "join"
            written += f" {word} {table} on {self.condition(join.args['on'], inner)}"
        column = self._column(node.expressions[0], inner)
        chosen = node.args.get("where")
        condition = f" where {self.condition(chosen.this, inner)}" if chosen is not None else ""
        return f"select {column} from {written}{condition}"

    def _table(self, node: Any, scope: Scope) -> str:
        if type(node).__name__ != "Table" or type(node.this).__name__ != "Identifier":
            raise _refused(node, " in a sub-select: it must read a table or a view")
        _only(node, "this", "db", "alias")
        alias = node.args.get("alias")
        if alias is not None:
            _only(alias, "this")
        schema, name = node.args.get("db"), _folded(node.this)
        found = relations.resolve(self.session, f"{_folded(schema) if schema is not None else 'public'}.{name}")
        called = _folded(alias.this) if alias is not None else name
        if called in scope.tables:
            raise SyntaxRefused(f'filter: table name "{called}" is given twice in one sub-select')
        self.aliases += 1
        ours = f"t{self.aliases}"
        scope.tables[called] = (ours, found)
        return f"{self._quoted(found.schema)}.{self._quoted(found.name)} as {ours}"

    def _quoted(self, name: str) -> str:
        return self.session.plpy.quote_ident(name)


RULES: dict[str, Callable[[_Writer, Any, Scope], str]] = {
    "Column": _Writer._column,
    "Literal": _Writer._literal,
    "Boolean": _Writer._boolean,
    "Null": _Writer._null,
    "Neg": _Writer._neg,
    "Is": _Writer._is,
    "Between": _Writer._between,
    "In": _Writer._in,
    "Like": _Writer._like,
    "ILike": _Writer._like,
    "Escape": _Writer._escape,
    "Cast": _Writer._cast,
    "Interval": _Writer._interval,
    "Coalesce": _Writer._coalesce,
    "TimestampTrunc": _Writer._timestamptrunc,
    "Extract": _Writer._extract,
}


def _only(node: Any, *allowed: str) -> None:
    """What a node says beyond these is something that would be left out silently."""
    for name, value in node.args.items():
        if name not in allowed and value not in (None, False, [], ""):
            raise _refused(node)


def _folded(identifier: Any) -> str:
    """As PostgreSQL folds what is not quoted."""
    name = str(identifier.this)
    return name if identifier.args.get("quoted") else "".join(c.lower() if c.isascii() else c for c in name)


def _word(unit: Any, node: Any, allowed: tuple[str, ...]) -> str:
    word = str(getattr(unit, "name", "")).lower()
    if word not in allowed:
        raise NotSupported(f"filter: {_shown(node)} is not allowed; the part must be one of {', '.join(allowed)}")
    return word


def _refused(node: Any, rule: str = "") -> NotSupported:
    hint = (
        "Allowed are columns, literals, comparisons, and, or, not, in, between, is null, like, arithmetic, casts, "
        f"and the functions {KNOWN_FUNCTIONS}."
    )
    return NotSupported(f"filter: {_kind(node)} {_shown(node)} is not allowed{rule}", hint=hint)


def _kind(node: Any) -> str:
    """The parser's class in words: JSONExtract is json extract."""
    name = type(node).__name__
    if name == "Anonymous":
        return "function"
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name).lower()


def _shown(node: Any) -> str:
    try:
        text = node.sql("postgres", comments=False, normalize_functions=False)
    except (ValueError, TypeError, AttributeError):
        text = type(node).__name__
    return f'"{text[:77]}..."' if len(text) > 80 else f'"{text}"'
