"""From the columns of a relation to the numbers of a model: texts become codes, indicators, means or counted terms.

Learned from the training rows, stored with the model, applied to every row that is asked about. What is missing is NaN
here; preprocess fills and scales it.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from .errors import BadData, PgmlError, TooLarge, WrongType
from .preprocess import Step
from .relation import MAX_CELLS, Column, Rows

# Into how many counters the words of one text column fall. A power of two, so that the low bits of the checksum choose.
TERMS = 64
WORD = re.compile(r"\w\w+")

# A mean over few rows says little: this many rows of the overall mean are added to each category's own.
SMOOTHING = 10.0
# The training rows' own means come from other rows, else a rare category would give its label away.
TARGET_FOLDS = 5


@dataclass(frozen=True)
class Input:
    """One feature column: how many numbers a caller hands in for it, and how it becomes `outputs` features.

    kind: number, array or text. encode: native, ordinal, one_hot, target or terms (text only). `categories` are those
    of the training rows, in order; `means` are, for target, their rows of numbers and last those of an unknown one.
    `fill` is what takes the place of NULL in a text; `missing` says that NULL and what is unknown are NaN.
    """

    name: str
    kind: str
    type: str = ""
    width: int = 1
    encode: str = "native"
    categories: tuple[str | None, ...] = ()
    means: tuple[tuple[float, ...], ...] = ()
    fill: str | None = None
    missing: bool = False
    _places: dict[str | None, int] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        self._places.update({category: place for place, category in enumerate(self.categories)})

    @property
    def outputs(self) -> int:
        if self.kind != "text":
            return self.width
        match self.encode:
            case "one_hot":
                return len(self.categories)
            case "target":
                return len(self.means[0])
            case "terms":
                return TERMS
            case _:
                return 1

    def texts(self, values: Sequence[str | None]) -> np.ndarray:
        """rows x outputs, float32."""
        if self.fill is not None:
            values = [self.fill if value is None else value for value in values]
        match self.encode:
            case "terms":
                return _terms(values)
            case "one_hot":
                out = np.zeros((len(values), len(self.categories)), dtype=np.float32)
                places = [self._places.get(value, -1) for value in values]
                known = np.flatnonzero(np.array(places) >= 0)
                out[known, np.array(places)[known]] = 1
                return out
            case "target":
                unknown = len(self.means) - 1
                places = [self._places.get(value, unknown) for value in values]
                out = np.array(self.means, dtype=np.float32)[places]
                if self.missing:
                    out[np.array(places) == unknown] = np.nan
                return out
            case _:
                return self._codes(values)[:, np.newaxis]

    def _codes(self, values: Sequence[str | None]) -> np.ndarray:
        absent = np.nan if self.missing else 0.0
        if self.encode == "ordinal" and not self.missing:
            for value in values:
                if value is not None and value not in self._places:
                    raise BadData(
                        f'column "{self.name}" holds {json.dumps(value)}, which its ordinal encoding does not list: '
                        f"{', '.join(map(json.dumps, self.categories))}"
                    )
        places = (self._places.get(value, -1) for value in values)
        return np.array([absent if place < 0 else place + 1 for place in places], dtype=np.float32)

    def read(self, value: Any) -> np.ndarray:
        """One value of a row that came as JSON: 1 x outputs."""
        if self.kind == "text":
            if value is not None and not isinstance(value, str):
                raise WrongType(f'attribute "{self.name}" must be a text, got {json.dumps(value)}')
            if self.type == "bpchar" and value is not None:
                value = value.rstrip(" ")
            return self.texts([value])
        numbers = _flat(value)
        if len(numbers) != self.width or (self.kind == "number" and isinstance(value, list)):
            wanted = "a number" if self.kind == "number" else f"an array of {self.width} numbers"
            raise WrongType(f'attribute "{self.name}" must be {wanted}, got {json.dumps(value)}')
        with np.errstate(over="ignore"):
            return np.array([[self._number(number) for number in numbers]], dtype=np.float64).astype(np.float32)

    def _number(self, value: Any) -> float:
        if value is None:
            return float("nan")
        # JSON has no NaN and no infinity: PostgreSQL writes them as texts.
        if isinstance(value, int | float) or value in ("NaN", "Infinity", "-Infinity"):
            return float(value)
        raise WrongType(f'attribute "{self.name}" must be a number, got {json.dumps(value)}')


@dataclass(frozen=True)
class Encoding:
    inputs: tuple[Input, ...]

    @cached_property
    def width(self) -> int:
        """How many numbers a row has when it is handed in as an array."""
        return sum(each.width for each in self.inputs)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """For each feature of the model the column that it comes from."""
        return tuple(each.name for each in self.inputs for _ in range(each.outputs))

    @cached_property
    def texts(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.inputs if each.kind == "text")

    def apply(self, rows: Rows, chosen: np.ndarray | None = None) -> np.ndarray:
        """rows x features, float32; of the `chosen` rows only (their numbers), in that order."""
        if [each.name for each in self.inputs] == list(rows.places)[: len(self.inputs)]:
            matrix = rows.numbers[:, : len(self.inputs)]
            return np.ascontiguousarray(matrix if chosen is None else matrix[chosen])
        parts = []
        for each in self.inputs:
            values = rows.column(each.name)
            if each.kind == "text":
                parts.append(each.texts(values if chosen is None else [values[place] for place in chosen]))
            else:
                values = values.reshape(rows.count, -1)
                parts.append(values if chosen is None else values[chosen])
        return np.ascontiguousarray(np.hstack(parts), dtype=np.float32)

    def row(self, values: Sequence[Any]) -> np.ndarray:
        """1 x features from one row's attributes, in training order."""
        return np.hstack([each.read(value) for each, value in zip(self.inputs, values, strict=True)])

    def dump(self) -> dict[str, Any]:
        kept = ("name", "kind", "type", "width", "encode", "categories", "means", "fill", "missing")
        return {"inputs": [{key: getattr(each, key) for key in kept} for each in self.inputs]}

    @classmethod
    def load(cls, stored: dict[str, Any]) -> Encoding:
        inputs = []
        for each in stored["inputs"]:
            tuples = {
                "categories": tuple(each["categories"]),
                "means": tuple(tuple(row) for row in each["means"]),
            }
            inputs.append(Input(**(each | tuples)))
        return cls(tuple(inputs))

    @classmethod
    def of_numbers(cls, width: int) -> Encoding:
        """Of a model that was stored before there were other columns."""
        return cls(tuple(Input(f"f{place + 1}", "number") for place in range(width)))


def fit(
    columns: Sequence[Column], steps: dict[str, Step], rows: Rows, training: np.ndarray, targets: np.ndarray, seed: int
) -> tuple[Encoding, np.ndarray]:
    """Learn from the training rows. Also returns their own features, which differ from what `apply` gives where a
    target's mean would contain the row's own label.

    targets: training rows x numbers, what a mean is taken of: the labels, or one indicator per class.
    """
    inputs, own = [], {}
    for column in columns:
        step = steps.get(column.name, Step())
        if column.kind != "text":
            width = 1 if column.kind == "number" else rows.column(column.name).shape[1]
            inputs.append(Input(column.name, str(column.kind), column.type, width))
            continue
        values = rows.column(column.name)
        learned, matrix = _learn(column, step, [values[place] for place in training], targets, seed)
        inputs.append(learned)
        if matrix is not None:
            own[column.name] = matrix
    encoding = Encoding(tuple(inputs))
    cells = rows.count * len(encoding.outputs)
    if cells > MAX_CELLS:
        raise TooLarge(
            f"{rows.count} rows of {len(encoding.outputs)} encoded features are {cells} values; "
            f"pgml.train takes at most {MAX_CELLS}",
            hint="A text column with many categories is better encoded as target or native than as one_hot.",
        )
    features = encoding.apply(rows, training)
    at = 0
    for each in encoding.inputs:
        if each.name in own:
            features[:, at : at + each.outputs] = own[each.name]
        at += each.outputs
    return encoding, features


def _learn(
    column: Column, step: Step, values: list[str | None], targets: np.ndarray, seed: int
) -> tuple[Input, np.ndarray | None]:
    learned = Input(column.name, "text", column.type, 0, step.word, missing=step.impute != "error")
    if step.word == "terms":
        return replace(learned, fill=step.fill, missing=False), None
    if step.word == "ordinal":
        return replace(learned, categories=step.order), None
    counts: dict[str | None, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    absent = counts.pop(None, 0)
    categories: tuple[str | None, ...] = tuple(sorted(counts))  # type: ignore[type-var]
    if step.word == "native":
        return replace(learned, categories=categories), None
    if step.word == "one_hot":
        if step.impute == "mode" and categories:
            # Of equals the first.
            most = max(categories, key=lambda category: counts[category])
            return replace(learned, categories=categories, fill=most, missing=False), None
        # Without imputing NULL is a category of its own, if there was one to learn from.
        own = (None,) if absent and not learned.missing else ()
        return replace(learned, categories=categories + own, missing=False), None
    if absent and not learned.missing:
        categories += (None,)
    learned = replace(learned, categories=categories)
    places = np.array([learned._places.get(value, len(categories)) for value in values])
    means = _means(places, targets, len(categories))
    out = np.empty((len(values), targets.shape[1]), dtype=np.float32)
    order = np.random.RandomState(seed).permutation(len(values))
    for part in np.array_split(order, min(TARGET_FOLDS, len(values))):
        others = np.ones(len(values), dtype=bool)
        others[part] = False
        out[part] = _means(places[others], targets[others], len(categories))[places[part]]
    if learned.missing:
        out[places == len(categories)] = np.nan
    return replace(learned, means=tuple(map(tuple, means.tolist()))), out


def _means(places: np.ndarray, targets: np.ndarray, categories: int) -> np.ndarray:
    """(categories + 1) x targets: each category's mean drawn towards the overall one, which is the last row."""
    overall = targets.mean(axis=0) if len(targets) else np.zeros(targets.shape[1])
    counts = np.bincount(places, minlength=categories + 1)[:, np.newaxis]
    sums = np.column_stack(
        [np.bincount(places, weights=targets[:, j], minlength=categories + 1) for j in range(targets.shape[1])]
    )
    means = (sums + SMOOTHING * overall) / (counts + SMOOTHING)
    means[-1] = overall
    return means


def _terms(values: Sequence[str | None]) -> np.ndarray:
    """log(1 + how often) for the words of each text, lower case, two letters or more; a word's counter is the low bits
    of its CRC-32. No word is remembered, and words that share a counter add up."""
    out = np.zeros((len(values), TERMS), dtype=np.float32)
    for row, value in enumerate(values):
        for word in WORD.findall((value or "").lower()):
            out[row, zlib.crc32(word.encode()) % TERMS] += 1
    return np.log1p(out)


def _flat(value: Any) -> list[Any]:
    if not isinstance(value, list):
        return [value]
    return [number for each in value for number in _flat(each)]


def text_columns(given: dict[str, Any]) -> dict[str, str]:
    """The document's `preprocess_params`: {"text_columns": {"summary": {"imputer": "constant", "value": ""}}}. Returns
    per column what takes the place of NULL."""
    columns = {}
    for key in given:
        if key != "text_columns":
            raise PgmlError(f'preprocess_params has the unknown key "{key}"; known is text_columns')
    wanted = given.get("text_columns", {})
    if not isinstance(wanted, dict):
        raise PgmlError(f"preprocess_params: text_columns must be an object, got {json.dumps(wanted)}")
    for column, settings in wanted.items():
        if not isinstance(settings, dict) or set(settings) - {"imputer", "value"}:
            raise PgmlError(
                f'preprocess_params: "{column}" must be an object such as {{"imputer": "constant", "value": ""}}, '
                f"got {json.dumps(settings)}"
            )
        imputer, value = settings.get("imputer", "constant"), settings.get("value", "")
        if imputer != "constant" or not isinstance(value, str):
            raise PgmlError(
                f'preprocess_params: "{column}" must have the imputer "constant" and a text as value, '
                f"got {json.dumps(settings)}"
            )
        columns[column] = value
    return columns
