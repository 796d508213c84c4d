"""What serves the caller's client, and how well things are."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import APIRouter, Query, Request

from foresight_api.dependencies import CallerDep, ServiceDep, client_for, in_thread
from foresight_api.errors import RESPONSES
from foresight_api.schemas import HealthResponse, ModelCollectionResponse, ModelResponse
from include.foresight import champions, model_specs, monitoring, replication
from include.foresight.clients import Client
from include.foresight.database import PRIMARY, is_late
from include.foresight.errors import DatabaseBusy

log = logging.getLogger(__name__)

router = APIRouter(tags=["models"], responses=RESPONSES)

Named = Annotated[str | None, Query(alias="client", max_length=63, description="As in the requests for predictions.")]


@router.get("/models")
async def models(
    request: Request, service: ServiceDep, caller: CallerDep, client: Named = None
) -> ModelCollectionResponse:
    """Which rung and which model serve the client."""
    acting = await client_for(request, service, caller, client)

    def work() -> dict[str, champions.Champion]:
        with service.databases.session(acting.replica_conn_id) as replica:
            with replica.as_client(acting.client_id) as tx:
                return champions.read(tx, acting.client_id)

    serving = await in_thread(request, work)
    return ModelCollectionResponse(
        client=acting.slug,
        models=[
            ModelResponse(
                model=model,
                title=model_specs.read(model).title,
                model_version=champion.model_name,
                rung=champion.rung,
                model_uuid=champion.model_uuid,
                version=champion.version,
            )
            for model, champion in sorted(serving.items())
        ],
    )


@router.get("/health")
async def health(request: Request, service: ServiceDep, caller: CallerDep, client: Named = None) -> HealthResponse:
    """How the databases are, and how the client's models were last found."""
    acting = await client_for(request, service, caller, client)

    def work() -> HealthResponse:
        replica, primary = reaches(acting.replica_conn_id), reaches(PRIMARY)
        found, slots = last_found(acting) if primary == "up" else ([], [])
        worst = {"unhealthy", "degraded"} & {row["status"] for row in found}
        if replica == "away":
            status = "unhealthy"
        elif (
            "busy" in (replica, primary)
            or primary == "away"
            or service.journal.trouble
            or worst
            or any(slot["wal_status"] in replication.LOST for slot in slots)
        ):
            status = "degraded"
        else:
            status = "healthy"
        return HealthResponse(
            status=status,
            replica=replica,
            primary=primary,
            journal_backlog=service.journal.backlog(),
            journal_trouble=service.journal.trouble,
            slots=slots,
            models=found,
        )

    def reaches(conn_id: str) -> str:
        try:
            with service.databases.session(conn_id) as session, session.as_client(acting.client_id) as tx:
                champions.read(tx, acting.client_id)
        except Exception as error:
            log.warning("%s: %s", conn_id, error)
            return "busy" if is_late(error) or isinstance(error, DatabaseBusy) else "away"
        return "up"

    def last_found(acting: Client) -> tuple[list[dict], list[dict]]:
        with service.databases.primary() as primary:
            with primary.as_client(acting.client_id) as tx:
                found = monitoring.last(tx, acting.client_id)
            with primary.as_fleet() as fleet:
                return found, replication.slots(fleet)

    return await in_thread(request, work)
