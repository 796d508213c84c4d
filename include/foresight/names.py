"""Names of roles, schemas, tables and pgml projects: put together here and nowhere else."""

from __future__ import annotations

from uuid import UUID

OWNER = "foresight_owner"
FLEET = "foresight_fleet"
READER = "foresight_reader"
LOG_WRITER = "foresight_log_writer"
# The gateway to pgml on a replica, and the role that owns it (sql/gateway).
GATEWAY = "foresight_pgml"
GATEWAY_SCHEMA = "ml_pgml"

PUBLICATION = "foresight"
QUARANTINE = "quarantine"


def dag_id(slug: str) -> str:
    return f"nightly__{slug}"


def client_role(client_id: int) -> str:
    return f"foresight_client_{int(client_id)}"


def client_schema(client_id: int) -> str:
    """The client's own schema on its replica."""
    return f"ml_client_{int(client_id)}"


def training_table(model: str, run_id: UUID) -> str:
    """A table of the run in the client's schema: what the model of this run was trained and judged on."""
    return f"{model}_{run_id.hex[:8]}"


def ordered_view(table: str) -> str:
    """What pgml sees of a training table: label and features of the used rows, training rows first."""
    return f"{table}_ordered"


def fold_view(table: str) -> str:
    """What pgml sees of a part of a training table, to compare ways of learning."""
    return f"{table}_fold"


def project(project_name: str, client_id: int, version: int) -> str:
    """A pgml project. `version` is that of the model's spec (features, label, scale), never of a training."""
    return f"{project_name}_client_{int(client_id)}_v{int(version)}"
