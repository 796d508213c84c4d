"""Which model answers for a project: the one of its newest row in pgml.deployments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from . import store
from .errors import NotFound, PgmlError
from .metrics import TARGET
from .session import entry_point

if TYPE_CHECKING:
    from .session import Session

STRATEGIES = ("best_score", "most_recent", "rollback")


@entry_point
def deploy_model(session: Session, model_id: int) -> list[tuple[str, str, str]]:
    """Deploy a model by its id. Returns (project, strategy, algorithm)."""
    rows = session.run("deployable_model", ("int8",), (model_id,))
    if not rows:
        raise NotFound(f"model {model_id} does not exist")
    row = rows[0]
    if row["status"] != "successful":
        raise PgmlError(f"model {model_id} cannot be deployed: its status is {row['status']}, not successful")
    _record(session, row["project_id"], model_id, "specific")
    return [(row["project"], "specific", row["algorithm"])]


@entry_point
def deploy_project(
    session: Session, project_name: str | None, strategy: str | None, algorithm: str | None
) -> list[tuple[str, str, str]]:
    """Deploy one of a project's models by a rule. Returns (project, strategy, algorithm)."""
    if not project_name:
        raise PgmlError("project_name must be given")
    if strategy not in STRATEGIES:
        raise PgmlError(f"invalid strategy {strategy}: it must be one of {', '.join(STRATEGIES)}")
    projects = session.run("project_by_name", ("text",), (project_name,))
    if not projects:
        raise NotFound(f'project "{project_name}" does not exist')
    project_id = projects[0]["id"]
    rows = session.run(f"deployable_{strategy}", ("int8", "text"), (project_id, algorithm))
    if not rows:
        which = f"{algorithm} model" if algorithm else "model"
        past = " that was deployed before the present one" if strategy == "rollback" else ""
        raise NotFound(f'project "{project_name}" has no {which}{past}')
    _record(session, project_id, rows[0]["id"], strategy)
    return [(project_name, strategy, rows[0]["algorithm"])]


def if_no_worse(session: Session, project: store.Project, model_id: int, scores: dict[str, float | None]) -> bool:
    """Deploy a new model unless the deployed one has the better score, each on its own test rows. A tie deploys."""
    rows = session.run("deployed_model", ("text",), (project.name,))
    if rows:
        target = TARGET[project.task]
        present, new = json.loads(rows[0]["metrics"] or "{}").get(target), scores[target]
        if present is not None and (new is None or present > new):
            return False
    _record(session, project.id, model_id, "new_score")
    return True


def _record(session: Session, project_id: int, model_id: int, strategy: str) -> None:
    session.run("create_deployment", ("int8", "int8", "text"), (project_id, model_id, strategy))
