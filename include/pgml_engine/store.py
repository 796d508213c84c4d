"""Projects, snapshots, models and their files as rows of schema pgml, under the caller's rights and policies."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from . import algorithms
from .encode import Encoding
from .errors import NotFound, NotPermitted, PgmlError
from .preprocess import Preprocessing

if TYPE_CHECKING:
    from .session import Session

PREPROCESS_FILE = "preprocess.json"
ENCODING_FILE = "encoding.json"


@dataclass(frozen=True)
class Project:
    id: int
    name: str
    task: str


@dataclass(frozen=True)
class Options:
    """What PostgresML has no argument for. They stand in pgml.snapshot_options."""

    filter: str | None = None
    time_column: str | None = None
    seed: int | None = None
    text_columns: dict[str, str] = field(default_factory=dict)

    @property
    def raw(self) -> bool:
        """Whether the relation is a table as it is, and not one that was made to be learned from."""
        return self.filter is not None or bool(self.text_columns)


@dataclass(frozen=True)
class Snapshot:
    """What a model was trained on, and how the rows were divided. `copy` is the snapshot whose table has its rows."""

    relation_name: str
    labels: tuple[str, ...]
    test_size: float
    test_sampling: str
    preprocess: dict[str, Any]
    options: Options = Options()
    copy: int | None = None

    @property
    def source(self) -> str:
        return self.relation_name if self.copy is None else f"pgml.snapshot_{self.copy}"


@dataclass(frozen=True)
class Search:
    """The arguments that pgml.models records."""

    search: str | None = None
    params: str = "{}"
    args: str = "{}"


@dataclass(frozen=True)
class Model:
    """A loaded model: all that it takes to predict. `width` is how many numbers a row has as an array; `missing`
    whether NaN may reach the library; `classes` are the names of the classes, empty for a regression."""

    id: int
    task: str
    algorithm: str
    width: int
    estimator: algorithms.Estimator
    preprocessing: Preprocessing | None
    encoding: Encoding
    missing: bool = False
    labels: tuple[str, ...] = ("label",)
    classes: tuple[str, ...] = ()


def project(session: Session, name: str, task: str | None) -> Project:
    """The project of that name, made when there is none and `task` is given."""
    found = _visible_project(session, name)
    if found is None:
        if task is None:
            raise PgmlError(
                f'project "{name}" does not exist; to create it give a task: {" or ".join(algorithms.TASKS)}'
            )
        _known_task(task)
        session.run("create_project", ("text", "text"), (name, task))
        found = _visible_project(session, name)
        if found is None:
            raise NotPermitted(
                f'project "{name}" belongs to another role', hint="Project names are shared by a whole database."
            )
    if task is not None and task != found.task:
        raise PgmlError(
            f'project "{name}" is for {found.task}, not for {_known_task(task)}: create a new project instead'
        )
    _known_task(found.task)
    return found


def last_snapshot(session: Session, project: Project) -> Snapshot:
    rows = session.run("last_snapshot", ("int8",), (project.id,))
    if not rows:
        raise PgmlError(f'project "{project.name}" was never trained: give relation_name and y_column_name')
    row = rows[0]
    columns = json.loads(row["columns"])
    preprocess = {column["name"]: column["preprocessor"] for column in columns if not column["label"]}
    options = Options(**json.loads(row["options"] or "{}"))
    # Their step is not one of PostgresML's words.
    preprocess = {name: step for name, step in preprocess.items() if name not in options.text_columns}
    return Snapshot(
        row["relation_name"],
        tuple(row["y_column_name"]),
        row["test_size"],
        row["test_sampling"],
        preprocess,
        options,
        row["id"] if row["materialized"] else None,
    )


def save_snapshot(
    session: Session, snapshot: Snapshot, columns: list[dict[str, Any]], rows: int, *, materialized: bool = False
) -> int:
    types = ("text", "text[]", "float4", "text", "text", "text", "bool")
    values = (
        snapshot.relation_name,
        list(snapshot.labels),
        snapshot.test_size,
        snapshot.test_sampling,
        json.dumps(columns),
        json.dumps({"samples": rows}),
        materialized,
    )
    session.run("create_snapshot", types, values)
    snapshot_id = session.run("created_snapshot")[0]["id"]
    if snapshot.options != Options():
        session.run("create_snapshot_options", ("int8", "text"), (snapshot_id, json.dumps(asdict(snapshot.options))))
    return snapshot_id


def describe_snapshot(session: Session, snapshot_id: int, columns: list[dict[str, Any]], rows: int) -> None:
    """Of a copy the columns are known after the rows are in."""
    values = (snapshot_id, json.dumps(columns), json.dumps({"samples": rows}))
    session.run("describe_snapshot", ("int8", "text", "text"), values)


def save_model(
    session: Session,
    project: Project,
    snapshot_id: int,
    width: int,
    algorithm: str,
    hyperparams: dict[str, Any],
    metrics: dict[str, Any],
    files: dict[str, bytes],
    search: Search = Search(),  # noqa: B008
    report: dict[str, Any] | None = None,
) -> int:
    types = ("int8", "int8", "int4", "text", "text", "text", "text", "text", "text")
    values = (
        *(project.id, snapshot_id, width, algorithm, json.dumps(hyperparams), json.dumps(metrics)),
        *(search.search, search.params, search.args),
    )
    model_id = session.run("create_model", types, values)[0]["id"]
    for path, data in files.items():
        session.run("create_file", ("int8", "text", "bytea"), (model_id, path, data))
    if report:
        session.run("create_report", ("int8", "text"), (model_id, json.dumps(report)))
    return model_id


def model(session: Session, model_id: int) -> Model:
    """A model that the caller may see, now: asked of the database each time, whatever the session has loaded."""
    rows = session.run("model", ("int8",), (model_id,))
    if not rows:
        raise NotFound(f"model {model_id} does not exist")
    return _loaded(session, model_id, rows[0]["created_at"])


def deployed_model(session: Session, project_name: str) -> Model:
    rows = session.run("deployed_model", ("text",), (project_name,))
    if not rows:
        raise NotFound(f'No deployed model exists for the project named: "{project_name}"')
    return _loaded(session, rows[0]["id"], rows[0]["created_at"])


def _loaded(session: Session, model_id: int, created_at: str) -> Model:
    # With the time, because a table that was emptied with `restart identity` gives out its ids again.
    return session.models.get((model_id, created_at), lambda: _load(session, model_id))


def _load(session: Session, model_id: int) -> tuple[Model, int]:
    rows = session.run("model_files", ("int8",), (model_id,))
    files = {row["path"]: row["data"] for row in rows}
    if not files:
        raise NotFound(f"model {model_id} has no files")
    row = rows[0]
    algorithm = algorithms.named(row["algorithm"])
    stored = json.loads(files[ENCODING_FILE]) if ENCODING_FILE in files else {}
    labels = tuple(stored.get("labels", ("label",)))
    encoding = Encoding.load(stored) if stored else Encoding.of_numbers(row["num_features"])
    loaded = Model(
        model_id,
        row["task"],
        row["algorithm"],
        encoding.width,
        algorithms.joint.load(algorithm, files, row["task"], len(labels)),
        Preprocessing.load(files[PREPROCESS_FILE]) if PREPROCESS_FILE in files else None,
        encoding,
        stored.get("missing", False),
        labels,
        tuple(stored.get("classes", ())),
    )
    return loaded, sum(len(data) for data in files.values())


def _visible_project(session: Session, name: str) -> Project | None:
    rows = session.run("project_by_name", ("text",), (name,))
    return Project(rows[0]["id"], name, rows[0]["task"]) if rows else None


def _known_task(task: str) -> str:
    if task not in algorithms.TASKS:
        raise PgmlError(f'task must be {" or ".join(algorithms.TASKS)}, got "{task}"')
    return task
