"""What is asked per column, and imputing and scaling: learned from the training rows, applied at every call."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BadData, ColumnNotFound, NotSupported, PgmlError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .relation import Column

IMPUTES = ("error", "mean", "median", "mode", "min", "max", "zero")
SCALES = ("preserve", "standard", "min_max", "max_abs", "robust")
ENCODES = ("native", "target", "one_hot")


@dataclass(frozen=True)
class Step:
    """What is asked for one column. `word` is how a text becomes numbers: one of ENCODES, ordinal (by `order`), or
    terms (where `fill` takes the place of NULL)."""

    impute: str = "error"
    scale: str = "preserve"
    word: str = "native"
    order: tuple[str, ...] = ()
    fill: str = ""

    @property
    def encode(self) -> Any:
        """As PostgresML writes it."""
        return {"ordinal": list(self.order)} if self.word == "ordinal" else self.word


@dataclass(frozen=True)
class Preprocessing:
    """What was learned: per feature the value for a missing one (NaN: that is an error), and (x - shift) / scale."""

    fill: np.ndarray
    shift: np.ndarray
    scale: np.ndarray

    def apply(self, features: np.ndarray) -> np.ndarray:
        """A new matrix. Each value by itself: a row's numbers do not depend on the rows beside it."""
        out = features.copy()
        for j in np.flatnonzero(~np.isnan(self.fill)):
            column = out[:, j]
            column[np.isnan(column)] = self.fill[j]
        for j in np.flatnonzero((self.shift != 0) | (self.scale != 1)):
            out[:, j] = (out[:, j].astype(np.float64) - self.shift[j]) / self.scale[j]
        return out

    def dump(self) -> bytes:
        fill = [None if np.isnan(value) else value for value in self.fill.tolist()]
        return json.dumps({"fill": fill, "shift": self.shift.tolist(), "scale": self.scale.tolist()}).encode()

    @classmethod
    def load(cls, data: bytes) -> Preprocessing:
        stored = json.loads(data)
        fill = [np.nan if value is None else value for value in stored["fill"]]
        return cls(
            np.array(fill, dtype=float), np.array(stored["shift"], dtype=float), np.array(stored["scale"], dtype=float)
        )


def parse(preprocess: dict[str, Any], columns: Sequence[Column], labels: Sequence[str]) -> dict[str, Step]:
    """The steps of `{"column": {"impute": ..., "scale": ..., "encode": ...}}`; other columns are taken as they are."""
    features = {column.name: column for column in columns}
    steps = {}
    for column, wanted in preprocess.items():
        if column in labels:
            raise NotSupported(f'preprocess: "{column}" is the label; only feature columns can be preprocessed')
        if column not in features:
            raise ColumnNotFound(
                f'preprocess: the relation has no feature column "{column}"; it has: {", ".join(features)}'
            )
        if not isinstance(wanted, dict):
            raise PgmlError(
                f'preprocess: "{column}" must be an object such as {{"impute": "mean", "scale": "standard"}}'
            )
        for key, word in wanted.items():
            allowed = {"impute": IMPUTES, "scale": SCALES, "encode": ENCODES}.get(key)
            if allowed is None:
                raise PgmlError(f'preprocess: "{column}" has the unknown key "{key}"; known are impute, scale, encode')
            if key == "encode" and isinstance(word, dict):
                continue
            if word not in allowed:
                more = ' or {"ordinal": ["first", ...]}' if key == "encode" else ""
                raise PgmlError(
                    f'preprocess: {key} of "{column}" must be one of {", ".join(allowed)}{more}; got {json.dumps(word)}'
                )
        steps[column] = _step(features[column], wanted)
    return steps


def _step(column: Column, wanted: dict[str, Any]) -> Step:
    impute, scale, encode = (
        wanted.get("impute", "error"),
        wanted.get("scale", "preserve"),
        wanted.get("encode", "native"),
    )
    order: tuple[str, ...] = ()
    word = encode
    if isinstance(encode, dict):
        listed = encode.get("ordinal")
        if set(encode) != {"ordinal"} or not isinstance(listed, list) or not listed:
            raise PgmlError(
                f'preprocess: encode of "{column.name}" must be {{"ordinal": ["first", ...]}}, got {json.dumps(encode)}'
            )
        if not all(isinstance(each, str) for each in listed) or len(set(listed)) < len(listed):
            raise PgmlError(
                f'preprocess: the ordinal encoding of "{column.name}" must list texts, each once; '
                f"got {json.dumps(listed)}"
            )
        word, order = "ordinal", tuple(listed)
    if column.kind != "text":
        if word != "native":
            raise NotSupported(
                f'preprocess: encode {json.dumps(encode)} of "{column.name}" is for columns of text; '
                f"it is of type {column.type}"
            )
    elif impute == "mean" and word != "target":
        raise NotSupported(
            f'preprocess: impute mean of "{column.name}", a text, needs encode target: codes have no mean'
        )
    elif word == "one_hot" and impute not in ("error", "mode", "zero"):
        raise NotSupported(
            f'preprocess: impute of "{column.name}" with encode one_hot must be error, mode or zero; got {impute}'
        )
    return Step(impute, scale, word, order)


def fit(steps: dict[str, Step], names: Sequence[str], training: np.ndarray) -> Preprocessing | None:
    """Learn from the training rows (rows x features); `names` says which column each feature comes from. None when
    there is nothing to do."""
    if all((step.impute, step.scale) == ("error", "preserve") for step in steps.values()):
        return None
    fill, shift, scale = np.full(len(names), np.nan), np.zeros(len(names)), np.ones(len(names))
    for j, name in enumerate(names):
        step = steps.get(name)
        if step is None or (step.impute, step.scale) == ("error", "preserve"):
            continue
        column = training[:, j].astype(np.float64)
        present = np.sort(column[~np.isnan(column)])
        if len(present) == 0:
            raise BadData(f'column "{name}" has no value in any training row: nothing can be learned from it')
        if step.impute != "error":
            fill[j] = _fill(step.impute, present)
            # What the model sees, and so what scaling is learned from, has the missing values filled in.
            present = np.sort(np.where(np.isnan(column), fill[j], column))
        shift[j], scale[j] = _scaling(step.scale, present)
    return Preprocessing(fill, shift, scale)


def refuse_missing(features: np.ndarray, names: list[str]) -> None:
    """What is still missing after imputing is an error, as in PostgresML."""
    missing = np.isnan(features).sum(axis=0)
    for j in np.flatnonzero(missing):
        raise BadData(
            f'column "{names[j]}" holds {missing[j]} missing values (NULL or NaN) in {len(features)} rows',
            hint="Leave the rows out, fill them in the view, or ask for preprocess with impute.",
        )


def _fill(impute: str, ordered: np.ndarray) -> float:
    match impute:
        case "mean":
            return float(ordered.mean())
        case "median":
            return float(ordered[len(ordered) // 2])
        case "mode":
            values, counts = np.unique(ordered, return_counts=True)
            tied = values[counts == counts.max()]
            return float(tied[len(tied) // 2])
        case "min":
            return float(ordered[0])
        case "max":
            return float(ordered[-1])
        case _:
            return 0.0


def _scaling(scale: str, ordered: np.ndarray) -> tuple[float, float]:
    """Shift and divisor. A column that does not vary is only shifted: there is no spread to divide by."""
    match scale:
        case "standard":
            shift, by = ordered.mean(), ordered.std()
        case "min_max":
            shift, by = ordered[0], ordered[-1] - ordered[0]
        case "max_abs":
            shift, by = 0.0, np.abs(ordered).max()
        case "robust":
            shift = ordered[len(ordered) // 2]
            by = ordered[len(ordered) * 3 // 4] - ordered[len(ordered) // 4]
        case _:
            shift, by = 0.0, 1.0
    return float(shift), float(by) or 1.0
