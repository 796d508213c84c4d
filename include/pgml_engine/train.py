"""pgml.train: one relation, one model, one transaction. What fails leaves nothing."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from . import algorithms, analysis, deploy, metrics, preprocess, relation, store
from .errors import BadData, NotSupported, PgmlError
from .session import entry_point
from .split import SAMPLINGS, split

if TYPE_CHECKING:
    from .session import Session


@entry_point
def train(
    session: Session,
    project_name: str | None,
    task: str | None,
    relation_name: str | None,
    y_column_name: str | None,
    algorithm: str | None,
    hyperparams: str | None,
    search: str | None,
    search_params: str | None,
    search_args: str | None,
    test_size: float | None,
    test_sampling: str | None,
    runtime: str | None,
    automatic_deploy: bool | None,
    materialize_snapshot: bool | None,
    preprocessing: str | None,
) -> list[dict[str, Any]]:
    """Train, test and store a model; deploy it when it is no worse than the deployed one. Returns the result row."""
    if not project_name:
        raise PgmlError("project_name must be given")
    _refuse_what_this_version_lacks(search, search_params, search_args, runtime, materialize_snapshot)
    algorithm = algorithm or "linear"
    library = algorithms.named(algorithm)
    project = store.project(session, project_name, task)
    wanted = _object("hyperparams", hyperparams)
    settings = library.settings(project.task, wanted)
    snapshot = _snapshot(session, project, relation_name, y_column_name, test_size, test_sampling, preprocessing)

    source = relation.resolve(session, snapshot.relation_name)
    label = source.column(snapshot.label)
    columns = source.features(label)
    names = [column.name for column in columns]
    steps = preprocess.parse(snapshot.preprocess, names, label.name)
    features, labels = relation.fetch(session, source, columns, label)
    described = [
        analysis.describe(column, steps.get(column.name, preprocess.Step()), features[:, place])
        for place, column in enumerate(columns)
    ]
    described.append(analysis.describe(label, None, labels))
    classes = _classes(project.task, label.name, labels)
    training, testing = split(labels, snapshot.test_size, snapshot.test_sampling, project.task, library.seed(settings))
    _refuse_constant(project.task, label.name, labels[training])

    learned = preprocess.fit(steps, names, features[training])
    if learned is not None:
        features = learned.apply(features)
    preprocess.refuse_missing(features, names)
    started = time.perf_counter()
    estimator_file = library.fit(settings, features[training], labels[training], classes, session.cancel_point)
    fitted = time.perf_counter()
    # Judged as it is stored: from the bytes.
    estimator = library.load(estimator_file, project.task)
    scores = _scores(project.task, estimator, features[testing], labels[testing])
    scores |= {"fit_time": fitted - started, "score_time": time.perf_counter() - fitted}

    snapshot_id = store.save_snapshot(session, snapshot, described, len(labels))
    files = {library.FILE: estimator_file}
    if learned is not None:
        files[store.PREPROCESS_FILE] = learned.dump()
    model_id = store.save_model(session, project, snapshot_id, len(names), algorithm, wanted, scores, files)
    deployed = automatic_deploy is not False and deploy.if_no_worse(session, project, model_id, scores)
    session.plpy.notice(
        f'project "{project.name}": model {model_id}, {algorithm} {project.task}, trained on {len(training)} and '
        f"tested on {len(testing)} rows of {len(names)} features, {'deployed' if deployed else 'not deployed'}"
    )
    return [{"project": project.name, "task": project.task, "algorithm": algorithm, "deployed": deployed}]


def _refuse_what_this_version_lacks(
    search: str | None,
    search_params: str | None,
    search_args: str | None,
    runtime: str | None,
    materialize: bool | None,
) -> None:
    if search is not None or _object("search_params", search_params) or _object("search_args", search_args):
        raise NotSupported(
            "search, search_params and search_args are not supported by this version of pgml",
            hint="Train with each set of hyperparams and compare pgml.models.metrics.",
        )
    if runtime not in (None, "python"):
        raise NotSupported(f"runtime {runtime} is not supported: this pgml runs in python; leave runtime out")
    if materialize:
        raise NotSupported(
            "materialize_snapshot => true is not supported: it would copy the rows into a schema that all roles share",
            hint="Create a table of your own from the relation and train on that.",
        )


def _snapshot(
    session: Session,
    project: store.Project,
    relation_name: str | None,
    y_column_name: str | None,
    test_size: float | None,
    test_sampling: str | None,
    preprocessing: str | None,
) -> store.Snapshot:
    if relation_name is None:
        return store.last_snapshot(session, project)
    if y_column_name is None:
        raise PgmlError(f"y_column_name must be given with relation_name: a {project.task} has a label to learn")
    if test_size is None:
        raise PgmlError("test_size must not be NULL")
    if test_sampling not in SAMPLINGS:
        raise PgmlError(f"test_sampling must be one of {', '.join(SAMPLINGS)}, got {test_sampling}")
    return store.Snapshot(relation_name, y_column_name, test_size, test_sampling, _object("preprocess", preprocessing))


def _object(name: str, text: str | None) -> dict[str, Any]:
    value = {} if text is None else json.loads(text)
    if not isinstance(value, dict):
        raise PgmlError(f"{name} must be a JSON object, got {text}")
    return value


def _classes(task: str, label: str, labels: np.ndarray) -> int:
    """How many classes a classification has (0 for a regression), after checking that the labels can be learned."""
    missing = int(np.isnan(labels).sum())
    if missing:
        raise BadData(
            f'the label "{label}" is NULL or NaN in {missing} of {len(labels)} rows',
            hint="Train on a view that leaves out the rows without a label.",
        )
    if task == "regression":
        return 0
    found = np.unique(labels)
    shown = ", ".join(f"{value:g}" for value in found[:5]) + (", ..." if len(found) > 5 else "")
    if not np.array_equal(found, np.arange(len(found))):
        raise BadData(
            f'the label "{label}" of a classification must be whole numbers 0, 1, ... without a gap; found {shown}'
        )
    if len(found) < 2:
        raise BadData(
            f'the label "{label}" has one class only, in all {len(labels)} rows: there is nothing to tell apart'
        )
    return len(found)


def _refuse_constant(task: str, label: str, labels: np.ndarray) -> None:
    if np.ptp(labels) > 0:
        return
    thing = "one class only" if task == "classification" else "one value only"
    raise BadData(
        f'the label "{label}" has {thing} in all {len(labels)} training rows: there is nothing to learn',
        hint="Look at the order of the rows when test_sampling is last.",
    )


def _scores(
    task: str, estimator: algorithms.Estimator, features: np.ndarray, labels: np.ndarray
) -> dict[str, float | None]:
    if task == "classification":
        scores = metrics.classification(labels, estimator.probabilities(features))
    else:
        scores = metrics.regression(labels, estimator.predict(features))
    return {name: value if value is not None and math.isfinite(value) else None for name, value in scores.items()}
