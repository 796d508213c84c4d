"""Answers of a model. Array in, numbers out; what a model was trained with (imputing, scaling) is applied here too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import store
from .errors import BadData, PgmlError
from .session import entry_point

if TYPE_CHECKING:
    from .session import Session


@entry_point
def predict(session: Session, model: int | str, features: list[Any]) -> float:
    """One row, one number: the value, or the number of the class. `model` is an id or the name of a project."""
    found = _model(session, model)
    if None in features:
        raise _null(found)
    with np.errstate(over="ignore"):
        row = np.asarray(features, dtype=np.float32).reshape(1, -1)
    if row.shape[1] != found.width:
        raise PgmlError(f"model {found.id} takes {found.width} features, got {row.shape[1]}")
    return float(found.estimator.predict(_prepared(found, row))[0])


@entry_point
def predict_batch(session: Session, model: int | str, sent: bytes) -> str:
    """Rows as one flat array in the wire format of real[]; the answers as the text of a real[]."""
    found = _model(session, model)
    rows = _rows(found, sent)
    return _array_text(found.estimator.predict(_prepared(found, rows)) if len(rows) else np.empty(0))


@entry_point
def predict_proba(session: Session, model: int | str, sent: bytes) -> str:
    """As predict_batch; per row the probabilities that PostgresML answers for the algorithm."""
    found = _model(session, model)
    if found.task != "classification":
        raise PgmlError(f"model {found.id} is a {found.task}: only a classification has probabilities")
    rows = _rows(found, sent)
    return _array_text(found.estimator.predict_proba(_prepared(found, rows)) if len(rows) else np.empty(0))


def _model(session: Session, model: int | str) -> store.Model:
    return store.deployed_model(session, model) if isinstance(model, str) else store.model(session, model)


def _null(model: store.Model) -> BadData:
    return BadData(f"features of model {model.id} must not contain NULL")


def _rows(model: store.Model, sent: bytes) -> np.ndarray:
    """rows x features from what array_send gives: a header, then each number behind its length."""
    dimensions, has_null = np.frombuffer(sent, dtype=">i4", count=2)
    if has_null:
        raise _null(model)
    header = 12 + 8 * int(dimensions)
    values = np.frombuffer(sent, dtype=[("length", ">i4"), ("value", ">f4")], offset=header)["value"].astype(np.float32)
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
    if np.isnan(rows).any():
        place = int(np.flatnonzero(np.isnan(rows).any(axis=0))[0]) + 1
        raise BadData(f"feature {place} of model {model.id} is NaN and the model was not trained to impute it")
    return rows


def _array_text(answer: np.ndarray) -> str:
    """PL/Python turns the elements of a list into text one by one; PostgreSQL parses one long text faster."""
    return "{" + ",".join(map(repr, answer.astype(np.float32).astype(float).ravel().tolist())) + "}"
