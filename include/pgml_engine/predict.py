"""Answers of a model. Arrays or rows in, numbers out; what a model was trained with (encoding, imputing, scaling) is
applied here too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from . import store
from .errors import BadData, NotSupported, PgmlError
from .relation import array_values, has_null
from .session import entry_point

if TYPE_CHECKING:
    from .session import Session

# PostgreSQL's number of the type real.
REAL = 700


@entry_point
def predict(session: Session, model: int | str, features: list[Any]) -> float:
    """One row, one number: the value, or the number of the class. `model` is an id or the name of a project."""
    found = _single(_model(session, model))
    return float(found.estimator.predict(_prepared(found, _array(found, features)))[0])


@entry_point
def predict_row(session: Session, model: int | str, row: str, named: bool) -> float:
    """As predict, of a record as JSON: attributes by name when it has them all, else in training order. `named` says
    that the record has a type of its own."""
    found = _single(_model(session, model))
    return float(found.estimator.predict(_prepared(found, _row(found, row, named)))[0])


@entry_point
def predict_label(session: Session, model: int | str, features: str, named: bool) -> str:
    """The name of the class, for an array or a record as JSON."""
    found = _model(session, model)
    if found.task != "classification":
        raise PgmlError(f"model {found.id} is a {found.task}: only a classification has classes")
    place = int(found.estimator.predict(_prepared(found, _row(found, features, named)))[0])
    # A model that was stored before classes had names.
    return found.classes[place] if found.classes else str(place)


@entry_point
def predict_joint(session: Session, model: int | str, features: list[Any]) -> list[float]:
    """One row, a value per label."""
    found = _model(session, model)
    if found.task != "regression":
        raise PgmlError(f"model {found.id} is a {found.task}: predict_joint is for a regression")
    answer = found.estimator.predict(_prepared(found, _array(found, features)))
    return np.asarray(answer, dtype=np.float32).astype(float).ravel().tolist()


@entry_point
def predict_batch(session: Session, model: int | str, sent: bytes) -> bytes:
    """Rows as the bytes of one flat real[]; the answers as those of another, or none."""
    found = _single(_model(session, model))
    rows = _rows(found, sent)
    return _array_bytes(found.estimator.predict(_prepared(found, rows)) if len(rows) else np.empty(0))


@entry_point
def predict_proba(session: Session, model: int | str, sent: bytes) -> bytes:
    """As predict_batch; per row the probabilities that PostgresML answers for the algorithm."""
    found = _model(session, model)
    if found.task != "classification":
        raise PgmlError(f"model {found.id} is a {found.task}: only a classification has probabilities")
    rows = _rows(found, sent)
    return _array_bytes(found.estimator.predict_proba(_prepared(found, rows)) if len(rows) else np.empty(0))


def _model(session: Session, model: int | str) -> store.Model:
    return store.deployed_model(session, model) if isinstance(model, str) else store.model(session, model)


def _single(model: store.Model) -> store.Model:
    if len(model.labels) > 1:
        raise PgmlError(f"model {model.id} predicts {len(model.labels)} labels: use pgml.predict_joint")
    return model


def _refuse_texts(model: store.Model) -> None:
    if model.encoding.texts:
        raise NotSupported(
            f"model {model.id} was trained with the text columns {', '.join(model.encoding.texts)}, which an array of "
            "numbers cannot hold: call pgml.predict with a row"
        )


def _null(model: store.Model) -> BadData:
    return BadData(f"features of model {model.id} must not contain NULL")


def _array(model: store.Model, features: list[Any]) -> np.ndarray:
    """1 x features. PL/Python hands in an array of several dimensions as lists of lists."""
    _refuse_texts(model)
    while features and isinstance(features[0], list):
        features = [value for each in features for value in each]
    if None in features:
        raise _null(model)
    with np.errstate(over="ignore"):
        row = np.asarray(features, dtype=np.float32).reshape(1, -1)
    if row.shape[1] != model.width:
        raise PgmlError(f"model {model.id} takes {model.width} features, got {row.shape[1]}")
    return row


def _row(model: store.Model, text: str, named: bool) -> np.ndarray:
    """1 x features, encoded, from a record or an array as JSON."""
    given = json.loads(text)
    if isinstance(given, list):
        # The types of an array that no other overload takes.
        return _array(model, given)
    if not isinstance(given, dict):
        raise PgmlError(f"features of model {model.id} must be an array or a row, got {text}")
    names = [each.name for each in model.encoding.inputs]
    # row(...) of bare values has attributes f1, f2, ...: those are places and no names.
    places = not named and list(given) == [f"f{place + 1}" for place in range(len(given))]
    by_name = not places and all(name in given for name in names)
    values = [given[name] for name in names] if by_name else list(given.values())
    if len(values) != len(names):
        raise PgmlError(
            f"model {model.id} takes a row of {len(names)} attributes ({', '.join(names)}), got {len(values)}"
        )
    return model.encoding.row(values)


def _rows(model: store.Model, sent: bytes) -> np.ndarray:
    """rows x features from the bytes of an array."""
    _refuse_texts(model)
    if has_null(sent):
        raise _null(model)
    values = array_values(sent, np.float32)
    if len(values) % model.width:
        raise PgmlError(
            f"model {model.id} takes {model.width} features per row, got {len(values)} values, which is no multiple"
        )
    return values.reshape(-1, model.width)


def _prepared(model: store.Model, rows: np.ndarray) -> np.ndarray:
    if np.isinf(rows).any():
        raise BadData(f"features of model {model.id} must be finite and fit into a real, got an infinite value")
    if model.preprocessing is not None:
        rows = model.preprocessing.apply(rows)
    if not model.missing and np.isnan(rows).any():
        place = int(np.flatnonzero(np.isnan(rows).any(axis=0))[0])
        raise BadData(
            f"feature {place + 1} of model {model.id} is NaN and the model was not trained to impute it"
            f' (column "{model.encoding.outputs[place]}")'
        )
    return rows


def _array_bytes(answer: np.ndarray) -> bytes:
    """As PostgreSQL has a real[] of one dimension in memory: dimensions, no NULL, the type, length, lower bound."""
    if answer.size == 0:
        return b""
    head = np.array([1, 0, REAL, answer.size, 1], dtype=np.int32)
    return head.tobytes() + answer.astype(np.float32).tobytes()
