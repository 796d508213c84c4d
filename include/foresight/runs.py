"""One nightly run of one client: a row of ml.nightly_runs. Every phase finds it again by the id of its DAG run."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID, uuid5

from psycopg.types.json import Jsonb

from include.foresight import clients, model_specs
from include.foresight.clients import Client
from include.foresight.database import Databases, Session, Transaction
from include.foresight.errors import ConfigurationError, ReplayRefused, RunNotPrepared
from include.foresight.version import code_version

NAMESPACE = UUID("5b0c1f6e-0f53-4f0e-9a53-6f72657369c3")

# The trigger of a run that lives in the past and may promote there, and what the server is called on which it may.
REPLAY = "replay"
THROW_AWAY = "foresight throw-away"


@dataclass(frozen=True)
class Request:
    """What was asked for. `models` None means all of them, `as_of` None the client's own clock. `reason`: why the
    watch wants a training."""

    models: tuple[str, ...] | None = None
    force_retrain: bool = False
    dry_run: bool = False
    as_of: datetime.datetime | None = None
    trigger: str = "scheduled"
    reason: str | None = None

    @classmethod
    def of(cls, stated: Mapping[str, Any]) -> Request:
        models = tuple(stated.get("models") or ()) or None
        for model in models or ():
            model_specs.read(model)
        return cls(
            models=models,
            force_retrain=bool(stated.get("force_retrain")),
            dry_run=bool(stated.get("dry_run")),
            as_of=moment(stated.get("as_of")),
            trigger=str(stated.get("trigger") or "scheduled"),
            reason=stated.get("reason") or None,
        )

    @property
    def usual(self) -> bool:
        """Whether nothing special is asked for, so that a night without news may be skipped."""
        return self.models is None and not self.force_retrain and not self.dry_run and self.as_of is None

    def stated(self) -> dict[str, Any]:
        return asdict(self) | {"as_of": self.as_of.isoformat() if self.as_of else None}


def moment(value: str | datetime.datetime | None) -> datetime.datetime | None:
    """A moment in UTC without a zone, as the platform has them."""
    if not value:
        return None
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            raise ConfigurationError(f"as_of must be a moment like 2024-05-31T00:00:00, got '{value}'") from None
    return value if value.tzinfo is None else value.astimezone(datetime.UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class Run:
    run_id: UUID
    client: Client
    as_of: datetime.datetime
    request: Request
    state: str

    @property
    def specs(self) -> list[model_specs.ModelSpec]:
        return model_specs.chosen(self.request.models, self.client.overrides)

    @property
    def values(self) -> dict[str, Any]:
        """What most statements about a run need."""
        return {"run_id": self.run_id, "client_id": self.client.client_id, "as_of": self.as_of}


def run_id_of(client: Client, dag_run_id: str) -> UUID:
    """The same for every try of the same DAG run, so that a phase that is repeated finds its own rows."""
    return uuid5(NAMESPACE, f"{client.client_id}/{dag_run_id}")


def open_run(
    primary: Session,
    client: Client,
    dag_run_id: str,
    request: Request,
    *,
    as_of: datetime.datetime,
    fingerprint: str,
    state: str,
) -> Run:
    """Write the run's row. A run that was begun before keeps its `as_of`: later phases must not see another."""
    with primary.as_client(client.client_id) as tx:
        row = tx.one(
            "runs/open",
            {
                "run_id": run_id_of(client, dag_run_id),
                "client_id": client.client_id,
                "dag_run_id": dag_run_id,
                "as_of": as_of,
                "request": Jsonb(request.stated()),
                "fingerprint": fingerprint,
                "state": state,
                "code_version": code_version(),
            },
        )
    return Run(row["run_id"], client, row["as_of"], request, row["state"])


def find(databases: Databases, slug: str, dag_run_id: str) -> Run:
    """The run that `prepare` has opened, for the phases after it."""
    with databases.primary() as primary:
        with primary.as_fleet() as fleet:
            client = clients.read(fleet, slug)
            row = fleet.one("runs/by_id", {"run_id": run_id_of(client, dag_run_id)})
    if row is None or row["state"] in ("running", "unchanged"):
        state = row["state"] if row else "missing"
        raise RunNotPrepared(f"client '{slug}': run {dag_run_id} is {state}; `prepare` has to end well first")
    return Run(row["run_id"], client, row["as_of"], Request.of(row["request"]), row["state"])


def is_binding(tx: Transaction, run: Run) -> bool:
    """Whether the run may change what serves and what is said of it: it is no dry run, no run of the past, and no later
    run of the client has come through."""
    return tx.one("runs/is_binding", {"run_id": run.run_id})["binding"]


def check_throw_away(primary: Session) -> None:
    """Raise ReplayRefused unless the primary's server was started to be thrown away: `cluster_name` can be set by the
    configuration of the server itself alone, not by a session, role or database."""
    with primary.as_fleet() as tx:
        found = tx.one("runs/server")["cluster_name"]
    if found != THROW_AWAY:
        raise ReplayRefused(
            f"a replay promotes by what is past, so its server must be called '{THROW_AWAY}' by its own configuration "
            f"(cluster_name), and this one is called '{found}'"
        )
