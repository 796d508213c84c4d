"""For Prometheus: how the models of the caller's clients are, and how requests went."""

from __future__ import annotations

import itertools

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from foresight_api import metrics as counted
from foresight_api.dependencies import CallerDep, ServiceDep, in_thread
from foresight_api.errors import RESPONSES
from include.foresight import journal, metrics, overview
from include.foresight.database import Transaction, is_unavailable
from include.foresight.overview import Cost, Line

router = APIRouter(tags=["models"], responses=RESPONSES)


@router.get("/metrics", response_class=PlainTextResponse)
async def scrape(request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """In Prometheus' text format, of the caller's clients. Without the primary only what this server has counted."""
    since = overview.costs_since()

    def state(tx: Transaction) -> list[tuple[list[Line], list[Cost]]]:
        return [(overview.read(tx), overview.costs(tx, since))]

    def work() -> bytes:
        clients = {service.client(client_id).slug for client_id in caller.clients}
        try:
            found, up = service.of_clients(caller.clients, state), True
        except Exception as error:
            if not is_unavailable(error):
                raise
            found, up = [], False
        return metrics.text(
            itertools.chain(
                counted.of_requests(clients),
                metrics.of_models([line for lines, _ in found for line in lines]),
                metrics.of_costs([cost for _, costs in found for cost in costs]),
                [
                    metrics.gauge("foresight_primary_up", "Whether the primary answers.", up),
                    metrics.gauge(
                        "foresight_journal_rows",
                        "Answers of this server whose log rows are not on the primary yet.",
                        journal.waiting(service.journal.folder) + service.journal.in_memory(),
                    ),
                ],
            )
        )

    return Response(await in_thread(request, work), media_type=metrics.CONTENT_TYPE)
