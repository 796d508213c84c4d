"""What is learned: numbers of a regression, or classes, which are numbers 0, 1, ... with names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .errors import BadData, NotSupported, WrongType
from .relation import Column, Relation, Rows


@dataclass(frozen=True)
class Labels:
    """values: rows x labels, float32. classes: their names in order; empty for a regression."""

    names: tuple[str, ...]
    values: np.ndarray
    classes: tuple[str, ...] = ()

    @property
    def first(self) -> np.ndarray:
        return self.values[:, 0]


def refuse_types(task: str, relation: Relation, columns: Sequence[Column]) -> None:
    """Before any row is read."""
    if len({column.name for column in columns}) < len(columns):
        raise NotSupported(f"each label must be named once, got {', '.join(column.name for column in columns)}")
    if task == "classification" and len(columns) > 1:
        raise NotSupported(
            f"a classification has one label, got {', '.join(column.name for column in columns)}: "
            "only a regression can be joint"
        )
    allowed = ("number", "text") if task == "classification" else ("number",)
    for column in columns:
        if column.kind not in allowed:
            raise WrongType(
                f'column "{column.name}" of relation "{relation}" is of type {column.type}; '
                f"the label of a {task} must be a {' or a '.join(allowed)}"
            )


def read(task: str, columns: Sequence[Column], rows: Rows) -> Labels:
    names = tuple(column.name for column in columns)
    if columns[0].kind == "text":
        return _named(names[0], rows)
    values = np.column_stack([rows.column(name) for name in names])
    for name, column in zip(names, values.T, strict=True):
        _refuse_missing(name, int(np.isnan(column).sum()), rows.count)
    if task == "regression":
        return Labels(names, values)
    found = np.unique(values)
    shown = ", ".join(f"{value:g}" for value in found[:5]) + (", ..." if len(found) > 5 else "")
    if not np.array_equal(found, np.arange(len(found))):
        raise BadData(
            f'the label "{names[0]}" of a classification must be texts, or whole numbers 0, 1, ... without a gap; '
            f"found {shown}"
        )
    _refuse_one_class(names[0], len(found), rows.count)
    boolean = columns[0].type == "bool"
    return Labels(names, values, ("false", "true") if boolean else tuple(str(place) for place in range(len(found))))


def refuse_constant(task: str, labels: Labels, training: np.ndarray) -> None:
    for name, column in zip(labels.names, labels.values[training].T, strict=True):
        if np.ptp(column) > 0:
            continue
        thing = "one class only" if task == "classification" else "one value only"
        raise BadData(
            f'the label "{name}" has {thing} in all {len(training)} training rows: there is nothing to learn',
            hint="Look at the order of the rows when test_sampling is last.",
        )


def _named(name: str, rows: Rows) -> Labels:
    values = rows.column(name)
    _refuse_missing(name, sum(value is None for value in values), rows.count)
    classes = tuple(sorted(set(values)))
    _refuse_one_class(name, len(classes), rows.count)
    places = {value: place for place, value in enumerate(classes)}
    numbers = np.array([[places[value]] for value in values], dtype=np.float32)
    return Labels((name,), numbers, classes)


def _refuse_missing(name: str, missing: int, rows: int) -> None:
    if missing:
        raise BadData(
            f'the label "{name}" is NULL or NaN in {missing} of {rows} rows',
            hint="Train on a view that leaves out the rows without a label.",
        )


def _refuse_one_class(name: str, classes: int, rows: int) -> None:
    if classes < 2:
        raise BadData(f'the label "{name}" has one class only, in all {rows} rows: there is nothing to tell apart')
