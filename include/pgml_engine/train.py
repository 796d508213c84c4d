"""pgml.train and pgml.train_joint: one relation, one model, one transaction. What fails leaves nothing."""

from __future__ import annotations

import ctypes
import json
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import algorithms, deploy, encode, features, labels, metrics, relation, search, snapshot, store
from .errors import NotSupported, PgmlError
from .labels import Labels
from .session import entry_point
from .snapshot import json_object
from .split import folds, order, refuse_unknown, rows_to_test

if TYPE_CHECKING:
    from .session import Session


@entry_point
def train(
    session: Session,
    project_name: str | None,
    task: str | None,
    relation_name: str | None,
    y_column_name: str | None,
    *arguments: Any,
) -> list[dict[str, Any]]:
    """As train_joint with one label."""
    return _train(session, project_name, task, relation_name, y_column_name and [y_column_name], *arguments)


@entry_point
def train_joint(session: Session, *arguments: Any) -> list[dict[str, Any]]:
    """Train, test and store a model; deploy it when it is no worse than the deployed one. Returns the result row."""
    return _train(session, *arguments)


def _train(
    session: Session,
    project_name: str | None,
    task: str | None,
    relation_name: str | None,
    y_column_name: list[str | None] | None,
    algorithm: str | None,
    hyperparams: str | None,
    searching: str | None,
    search_params: str | None,
    search_args: str | None,
    test_size: float | None,
    test_sampling: str | None,
    runtime: str | None,
    automatic_deploy: bool | None,
    materialize_snapshot: bool | None,
    preprocessing: str | None,
    filter: str | None = None,
    preprocess_params: str | None = None,
    time_column: str | None = None,
    seed: int | None = None,
) -> list[dict[str, Any]]:
    if not project_name:
        raise PgmlError("project_name must be given")
    if runtime not in (None, "python"):
        raise NotSupported(f"runtime {runtime} is not supported: this pgml runs in python; leave runtime out")
    if seed is not None and not 0 <= seed < 2**31:
        raise PgmlError(f"seed must be from 0 to 2147483647, got {seed}")
    algorithm = algorithm or "linear"
    library = algorithms.named(algorithm)
    project = store.project(session, project_name, task)
    options = store.Options(
        filter, time_column, seed, encode.text_columns(json_object("preprocess_params", preprocess_params))
    )
    wanted = _snapshot(session, project, relation_name, y_column_name, test_size, test_sampling, preprocessing, options)
    options = wanted.options
    fixed = json_object("hyperparams", hyperparams)
    if options.seed is not None and library.seeded(project.task) and not {"seed", "random_state"} & set(fixed):
        fixed["random_state"] = options.seed
    plan = search.plan(
        fixed,
        searching,
        json_object("search_params", search_params),
        json_object("search_args", search_args),
        options.seed or 0,
    )
    # All of them, before any row is read.
    for varied in plan.varied if plan else ({},):
        settings = library.settings(project.task, fixed | varied)
    started_from = library.seed(settings) if options.seed is None else options.seed

    source = relation.resolve(session, wanted.source)
    label_columns = [source.column(name) for name in wanted.labels]
    labels.refuse_types(project.task, source, label_columns)
    moment = _moment(source, options.time_column, label_columns)
    columns = source.features([*label_columns, *([moment] if moment else ())], leave_out=options.raw)
    steps = features.parse(wanted.preprocess, options.text_columns, columns, wanted.labels)
    condition = options.filter if wanted.copy is None else None
    snapshot_id, copied = wanted.copy, False
    if materialize_snapshot and wanted.copy is None:
        kept = [*columns, *label_columns, *([moment] if moment else ())]
        snapshot_id, source = snapshot.copy(session, wanted, source, kept)
        condition, copied = None, True
    rows = relation.fetch(session, source, [*columns, *label_columns], condition=condition, moment=moment)
    learned = labels.read(project.task, label_columns, rows)
    # The library may know what to do with a value that is missing; it is let to where the rows are a table as it is.
    missing = options.raw and library.MISSING
    filled = steps if missing or not options.raw else features.filling(steps, columns, "median")
    if not missing:
        features.refuse_missing(rows, columns, filled)

    tested = rows_to_test(rows.count, wanted.test_size)
    ordered = order(learned.first, wanted.test_sampling, project.task, started_from, rows.moments)
    training, testing = np.sort(ordered[: rows.count - tested]), np.sort(ordered[rows.count - tested :])
    labels.refuse_constant(project.task, learned, training)
    results = None
    if plan is not None:

        def prepare(chosen: np.ndarray) -> tuple[features.Pipeline, np.ndarray]:
            return features.fit(columns, filled, rows, learned, chosen, started_from)

        best, results = _search(
            session, library, project.task, fixed, plan, ordered[: rows.count - tested], prepare, rows, learned
        )
        fixed |= best
        settings = library.settings(project.task, fixed)
    pipeline, own = features.fit(columns, filled, rows, learned, training, started_from)
    started = time.perf_counter()
    files = algorithms.joint.fit(
        library, settings, own, learned.values[training], len(learned.classes), session.cancel_point
    )
    fitted = time.perf_counter()
    # Judged as it is stored: from the bytes.
    estimator = algorithms.joint.load(library, files, project.task, len(learned.names))
    scores, report = _judged(project.task, estimator, pipeline.apply(rows, testing), learned, testing)
    scores |= {"fit_time": fitted - started, "score_time": time.perf_counter() - fitted}
    recorded: dict[str, Any] = scores if results is None else {**scores, "search_results": results}

    described = snapshot.describe(columns, steps, label_columns, rows)
    if snapshot_id is None:
        snapshot_id = store.save_snapshot(session, wanted, described, rows.count)
    elif copied:
        store.describe_snapshot(session, snapshot_id, described, rows.count)
    if pipeline.preprocessing is not None:
        files[store.PREPROCESS_FILE] = pipeline.preprocessing.dump()
    about = {"labels": learned.names, "classes": learned.classes, "missing": missing}
    files[store.ENCODING_FILE] = json.dumps(pipeline.encoding.dump() | about).encode()
    model_id = store.save_model(
        session,
        project,
        snapshot_id,
        len(pipeline.encoding.outputs),
        algorithm,
        fixed,
        recorded,
        files,
        store.Search(searching, search_params or "{}", search_args or "{}"),
        report,
    )
    deployed = automatic_deploy is not False and deploy.if_no_worse(session, project, model_id, scores)
    _give_back()
    used = {*columns, *label_columns, moment}
    left_out = [column.name for column in source.columns if column not in used]
    session.plpy.notice(
        f'project "{project.name}": model {model_id}, {algorithm} {project.task}, trained on {len(training)} and '
        f"tested on {len(testing)} rows of {len(pipeline.encoding.outputs)} features, "
        f"{'deployed' if deployed else 'not deployed'}"
        + (f"; left out by their types: {', '.join(left_out)}" if left_out else "")
    )
    return [{"project": project.name, "task": project.task, "algorithm": algorithm, "deployed": deployed}]


def _give_back() -> None:
    """Memory that the fit has freed goes back to the system: else a session keeps as much as its largest training
    took, and grows with each that finds it in pieces. An allocator other than glibc's is left alone."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _snapshot(
    session: Session,
    project: store.Project,
    relation_name: str | None,
    y_column_name: list[str | None] | None,
    test_size: float | None,
    test_sampling: str | None,
    preprocessing: str | None,
    options: store.Options,
) -> store.Snapshot:
    if relation_name is None:
        return store.last_snapshot(session, project)
    names = tuple(name for name in y_column_name or () if name is not None)
    if not names or len(names) < len(y_column_name or ()):
        raise PgmlError(f"y_column_name must be given with relation_name: a {project.task} has a label to learn")
    if test_size is None:
        raise PgmlError("test_size must not be NULL")
    refuse_unknown(test_sampling)
    # In order of time the last rows are the test rows, whatever was said of sampling.
    sampling = str(test_sampling) if options.time_column is None else "last"
    return store.Snapshot(relation_name, names, test_size, sampling, json_object("preprocess", preprocessing), options)


def _moment(
    source: relation.Relation, name: str | None, label_columns: Sequence[relation.Column]
) -> relation.Column | None:
    if name is None:
        return None
    column = source.column(name, "to order the rows by")
    if column in label_columns:
        raise PgmlError(f'time_column must not be the label "{name}"')
    if column.kind not in ("time", "number"):
        raise PgmlError(f'time_column "{name}" must be a date, a timestamp or a number; it is of type {column.type}')
    return column


def _search(
    session: Session,
    library: algorithms.Algorithm,
    task: str,
    fixed: dict[str, Any],
    plan: search.Plan,
    training: np.ndarray,
    prepare: Any,
    rows: relation.Rows,
    learned: Labels,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Each candidate on each fold of the training rows, whose features are learned from the others of them only."""
    pieces = plan.folds if plan.folds > 1 else search.PARTS_OF_ONE_FOLD
    if len(training) < 2 * pieces:
        raise PgmlError(f"search_args: cv {plan.folds} needs at least {2 * pieces} training rows, got {len(training)}")
    divided = folds(training, training, pieces)
    if plan.folds == 1:
        divided = divided[-1:]
    prepared: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def attempt(fold: int, varied: dict[str, Any]) -> search.Trial:
        learning, judging = divided[fold]
        if fold not in prepared:
            # One fold at a time is in memory.
            prepared.clear()
            pipeline, own = prepare(learning)
            prepared[fold] = own, pipeline.apply(rows, judging)
        own, others = prepared[fold]
        if any(np.ptp(column) == 0 for column in learned.values[learning].T):
            return search.Trial(None, 0.0, 0.0)
        started = time.perf_counter()
        estimator = algorithms.joint.trial(
            library,
            library.settings(task, fixed | varied),
            own,
            learned.values[learning],
            len(learned.classes),
            session.cancel_point,
        )
        fitted = time.perf_counter()
        scores, _ = _judged(task, estimator, others, learned, judging)
        return search.Trial(scores[metrics.TARGET[task]], fitted - started, time.perf_counter() - fitted)

    return search.run(plan, len(divided), attempt)


def _judged(
    task: str, estimator: Any, matrix: np.ndarray, learned: Labels, chosen: np.ndarray
) -> tuple[dict[str, float | None], dict[str, Any]]:
    """PostgresML's metrics on the chosen rows, and what is reported beside. Several labels count as one long one."""
    truth = learned.values[chosen]
    if task == "regression":
        predicted = estimator.predict(matrix).reshape(truth.shape)
        scores = metrics.regression(truth.ravel(), predicted.ravel())
        report: dict[str, Any] = {"rows": len(chosen)}
        if len(learned.names) > 1:
            report["labels"] = {
                name: _finite(metrics.regression(truth[:, place], predicted[:, place]))
                for place, name in enumerate(learned.names)
            }
        return _finite(scores), report
    classes, truth = len(learned.classes), truth[:, 0]
    chances = estimator.probabilities(matrix)
    if chances is None:
        predicted = estimator.predict(matrix)
        scores = metrics.decided(truth, predicted, classes, estimator.scores(matrix))
    else:
        predicted = chances.argmax(axis=1)
        scores = metrics.classification(truth, chances)
    table = metrics.confusion(truth, predicted, classes)
    each = metrics.by_class(table)
    report = {
        "rows": len(chosen),
        "classes": [
            {
                "class": name,
                "rows": int(table[place].sum()),
                **_finite({key: float(values[place]) for key, values in each.items()}),
            }
            for place, name in enumerate(learned.classes)
        ],
        "confusion": table.astype(int).tolist(),
        "calibration": None if chances is None else _finite(metrics.calibration(truth, chances)),
    }
    return _finite(scores), report


def _finite(scores: dict[str, Any]) -> dict[str, float | None]:
    return {name: value if value is not None and math.isfinite(value) else None for name, value in scores.items()}
