"""What lies between a relation's rows and the matrix that an algorithm sees: encoding, then imputing and scaling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from . import encode, preprocess
from .encode import Encoding
from .errors import ColumnNotFound, PgmlError, WrongType
from .labels import Labels
from .preprocess import Preprocessing, Step
from .relation import Column, Rows


@dataclass(frozen=True)
class Pipeline:
    encoding: Encoding
    preprocessing: Preprocessing | None

    def apply(self, rows: Rows, chosen: np.ndarray) -> np.ndarray:
        """chosen rows x features, float32."""
        return self._prepared(self.encoding.apply(rows, chosen))

    def _prepared(self, features: np.ndarray) -> np.ndarray:
        return features if self.preprocessing is None else self.preprocessing.apply(features)


def fit(
    columns: Sequence[Column], steps: dict[str, Step], rows: Rows, labels: Labels, training: np.ndarray, seed: int
) -> tuple[Pipeline, np.ndarray]:
    """Learned from the training rows, and their own features."""
    wanted = any(step.word == "target" for step in steps.values())
    targets = _targets(labels, training) if wanted else np.empty((len(training), 0))
    encoding, own = encode.fit(columns, steps, rows, training, targets, seed)
    pipeline = Pipeline(encoding, preprocess.fit(steps, encoding.outputs, own))
    return pipeline, pipeline._prepared(own)


def parse(
    wanted: dict[str, object], terms: dict[str, str], columns: Sequence[Column], labels: Sequence[str]
) -> dict[str, Step]:
    """The steps of `preprocess`, and those of the text columns that become terms."""
    steps = preprocess.parse(wanted, columns, labels)
    kinds = {column.name: column for column in columns}
    for name, fill in terms.items():
        if name not in kinds:
            raise ColumnNotFound(
                f'preprocess_params: the relation has no feature column "{name}"; it has: {", ".join(kinds)}'
            )
        if kinds[name].kind != "text":
            raise WrongType(
                f'preprocess_params: text_columns names "{name}", which is of type {kinds[name].type} and no text'
            )
        if name in steps:
            raise PgmlError(f'"{name}" stands in both preprocess and preprocess_params: say it once')
        steps[name] = Step(word="terms", fill=fill)
    return steps


def filling(steps: dict[str, Step], columns: Sequence[Column], impute: str) -> dict[str, Step]:
    """The steps with imputing for each number that has none asked for."""
    filled = dict(steps)
    for column in columns:
        step = steps.get(column.name, Step())
        if column.kind != "text" and step.impute == "error":
            filled[column.name] = replace(step, impute=impute)
    return filled


def refuse_missing(rows: Rows, columns: Sequence[Column], steps: dict[str, Step]) -> None:
    """A number that is missing and not imputed is an error, as in PostgresML."""
    complete = not np.isnan(rows.numbers).any()
    for column in columns:
        if column.kind == "text" or (column.kind == "number" and complete):
            continue
        if steps.get(column.name, Step()).impute != "error":
            continue
        values = rows.column(column.name).reshape(rows.count, -1)
        if np.isnan(values).any():
            preprocess.refuse_missing(values, [column.name] * values.shape[1])


def _targets(labels: Labels, training: np.ndarray) -> np.ndarray:
    """What a category's mean is taken of: the labels; of classes the share of each, of two that of the second."""
    values = labels.values[training].astype(np.float64)
    if not labels.classes:
        return values
    indicators = (values == np.arange(len(labels.classes))).astype(np.float64)
    return indicators[:, 1:] if len(labels.classes) == 2 else indicators
