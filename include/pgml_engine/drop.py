"""Throwing models and projects away, with all that hangs on them. Only their owner may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import NotFound, NotPermitted, PgmlError
from .session import entry_point

if TYPE_CHECKING:
    from .session import Session


class InUse(PgmlError):
    """A deployed model goes only when that is said."""

    sqlstate = "55006"


@entry_point
def drop_model(session: Session, model_id: int | None, force: bool | None) -> list[tuple[str, int, bool]]:
    """Returns (project, model, whether it answered for the project)."""
    if model_id is None:
        raise PgmlError("model_id must be given")
    rows = session.run("droppable_models", ("int8", "text"), (model_id, None))
    if not rows:
        raise NotFound(f"model {model_id} does not exist")
    row = rows[0]
    if row["deployed"] and not force:
        raise InUse(
            f'model {model_id} answers for the project "{row["project"]}" and is not dropped',
            hint="Deploy another model first, or say force => true: the model deployed before it answers then.",
        )
    if not session.run("drop_model", ("int8",), (model_id,)):
        raise NotPermitted(f"model {model_id} belongs to another role")
    _drop_snapshots(session, [row["snapshot_id"]])
    return [(row["project"], model_id, row["deployed"])]


@entry_point
def drop_project(session: Session, project_name: str | None, force: bool | None) -> list[tuple[str, int]]:
    """Returns (project, how many models it had)."""
    if not project_name:
        raise PgmlError("project_name must be given")
    if not session.run("project_by_name", ("text",), (project_name,)):
        raise NotFound(f'project "{project_name}" does not exist')
    rows = session.run("droppable_models", ("int8", "text"), (None, project_name))
    deployed = [row["id"] for row in rows if row["deployed"]]
    if deployed and not force:
        raise InUse(
            f'project "{project_name}" has the deployed model {deployed[0]} and is not dropped',
            hint="Say force => true to drop the project with its models, deployments and snapshots.",
        )
    if not session.run("drop_project", ("text",), (project_name,)):
        raise NotPermitted(f'project "{project_name}" belongs to another role')
    _drop_snapshots(session, [row["snapshot_id"] for row in rows])
    return [(project_name, len(rows))]


def _drop_snapshots(session: Session, snapshots: list[int | None]) -> None:
    """Those that no model was trained on any more; their copies of rows go along."""
    session.run("drop_snapshots", ("int8[]",), (sorted({one for one in snapshots if one is not None}),))
